package envoy

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rls/weir/descriptors"
)

var update = flag.Bool("update", false, "write the golden file anew")

// check holds an Envoy file against rules, and answers the faults of both.
func check(rules string, files ...string) descriptors.Faults {
	survey, faults := descriptors.Examine([]string{rules}, descriptors.Options{})
	return append(faults, Check(survey, files, Version{})...).Tidy()
}

// wanted are the findings that a file names in comments at its lines.
func wanted(t *testing.T, dir string) (all []string) {
	t.Helper()
	comment := regexp.MustCompile(`# want: ([a-z0-9 -]+)$`)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		for i, line := range strings.Split(read(t, path), "\n") {
			if found := comment.FindStringSubmatch(line); found != nil {
				for _, id := range strings.Fields(found[1]) {
					all = append(all, fmt.Sprintf("%s:%d %s", path, i+1, id))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ids are those of faults, in order.
func ids(faults descriptors.Faults) (all []string) {
	for _, f := range faults {
		all = append(all, cmp.Or(f.ID, "rules"))
	}
	slices.Sort(all)
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each wrong file is found wrong at the line that says so and for the reason that it
// names, and nowhere else. What is told is the golden file.
func TestCheck_FindsWhatIsWrongAndNothingElse(t *testing.T) {
	dirs, err := filepath.Glob("testdata/wrong/*")
	if err != nil || len(dirs) < 40 {
		t.Fatalf("%d wrong files, %v", len(dirs), err)
	}
	var told strings.Builder
	met := map[string]bool{}
	for _, dir := range dirs {
		faults := check(filepath.Join(dir, "rules"), filepath.Join(dir, "envoy.yaml"))
		var got []string
		for _, f := range faults {
			got = append(got, fmt.Sprintf("%s:%d %s", f.File, f.Line, cmp.Or(f.ID, "rules")))
			met[f.ID] = true
			told.WriteString(f.Text())
		}
		want := wanted(t, dir)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: want\n  %s\ngot\n  %s\n%s", dir, strings.Join(want, "\n  "), strings.Join(got, "\n  "), faults.Text())
		}
	}
	for _, d := range Diagnostics {
		if !met[d.ID] {
			t.Errorf("no wrong file shows %s", d.ID)
		}
	}
	const golden = "testdata/wrong.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(told.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if told.String() != read(t, golden) {
		t.Errorf("what is told of wrong files has changed; if that is meant: go test ./envoy -run FindsWhatIsWrong -update")
	}
}
