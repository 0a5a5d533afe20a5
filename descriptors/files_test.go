package descriptors

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// put writes rule files, by name and content, under dir.
func put(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// limited is a rule file in which key is limited to n a second.
func limited(domain, key string, n int) string {
	return fmt.Sprintf("domain: %s\ndescriptors:\n  - {key: %s, rate_limit: {unit: second, requests_per_unit: %d}}\n", domain, key, n)
}

// limitOf is the number of requests a second that key is limited to, -1 if it
// is not.
func limitOf(r *Rules, domain, key string) int64 {
	if r == nil {
		return -1
	}
	for _, m := range r.Resolve(&Request{Domain: domain, Descriptors: []Descriptor{{Entries: []Entry{{key, "x"}}}}}).Matches {
		return m.Limit.Requests
	}
	return -1
}

// brief are the faults without the directory and the remedies.
func brief(dir string, faults Faults) []string {
	var lines []string
	for _, f := range faults {
		f.Remedy = ""
		lines = append(lines, strings.ReplaceAll(f.Error(), dir+"/", ""))
	}
	return lines
}

func TestLoad_TestDataHasNoErrors(t *testing.T) {
	r, faults := Load([]string{"testdata/rules"}, Options{})
	if faults.Failed() || !slices.Equal(r.Domains(), []string{"algorithms", "llm", "merged", "mongo_cps"}) {
		t.Fatalf("domains %v, faults:\n%s", r.Domains(), faults.Text())
	}
	if got := len(r.Limits()); got != 25 {
		t.Errorf("%d limits, want 25", got)
	}
	for domain, want := range map[string]int{"algorithms": 0, "llm": 0, "merged": 0, "mongo_cps": 2} {
		n := 0
		for _, f := range faults {
			if strings.Contains(f.File, domain) || domain == "mongo_cps" && strings.Contains(f.File, "reference") {
				n++
			}
		}
		if n != want {
			t.Errorf("%s has %d warnings, want %d:\n%s", domain, n, want, faults.Text())
		}
	}
}

func TestLoad_DirectoryWithoutDotEntriesAndOtherFiles(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"a.yaml": limited("a", "k", 1), "b.yml": limited("b", "k", 1), ".hidden.yaml": "broken: [", "notes.txt": "broken: [",
		"dir.yaml/c.yaml": "broken: [", "..data/d.yaml": "broken: [",
	})
	r, faults := Load([]string{dir}, Options{})
	if len(faults) > 0 || !slices.Equal(r.Domains(), []string{"a", "b"}) {
		t.Errorf("%v, %v", r, faults)
	}
}

func TestLoad_AllFaultsOfAllFilesAtOnce(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"a.yaml": "domain: a\nx: 1\ny: 2\n",
		"b.yaml": "domain: b\ndescriptors: [\n",
		"c.yaml": limited("c", "k", 1),
	})
	r, faults := Load([]string{dir, filepath.Join(dir, "none.yaml"), dir + "//./a.yaml"}, Options{})
	want := []string{
		`a.yaml:2:1: error: unknown field "x" in the file`,
		`a.yaml:3:1: error: unknown field "y" in the file`,
		`b.yaml:3:1: error: not YAML: did not find expected node content while parsing a flow node`,
		`none.yaml: error: cannot be read: no such file or directory`,
	}
	if got := brief(dir, faults); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if limitOf(r, "c", "k") != 1 {
		t.Errorf("the file without faults was not loaded")
	}
	if r, faults := Load([]string{t.TempDir()}, Options{}); r != nil || faults.Count(Warning) != 1 {
		t.Errorf("rules of an empty directory: %v, %v", r, faults)
	}
	if r, _ := Load([]string{filepath.Join(dir, "a.yaml")}, Options{}); r != nil {
		t.Errorf("rules of a faulty file: %v", r.Domains())
	}
}

func TestLoad_ADomainInTwoFilesIsAnErrorUnlessMerged(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"1.yaml": limited("llm", "a", 1) + "passive: [p]\ndefaults: {on_store_error: deny}\n",
		"2.yaml": limited("llm", "b", 2) + "unmatched: deny\n",
		"3.yaml": limited("other", "c", 3),
	})
	r, faults := Load([]string{dir}, Options{})
	want := []string{`2.yaml:1:9: error: the domain "llm" is also that of 1.yaml:1:9`}
	if got := brief(dir, faults); !slices.Equal(got, want) || !slices.Equal(r.Domains(), []string{"other"}) {
		t.Errorf("domains %v, faults %q, want %q", r.Domains(), got, want)
	}

	r, faults = Load([]string{dir}, Options{MergeDomains: true})
	if len(faults) > 0 || limitOf(r, "llm", "a") != 1 || limitOf(r, "llm", "b") != 2 || limitOf(r, "other", "c") != 3 {
		t.Fatalf("merged: %v\n%s", r, faults.Text())
	}
	d := r.domains["llm"]
	if !d.denyUnmatched || !d.isPassive("p") {
		t.Errorf("merged settings: %+v", d)
	}
	if a, b := d.limits[0].OnStoreError, d.limits[1].OnStoreError; a == b {
		t.Errorf("the defaults of one file reached the limits of the other")
	}
}

func TestLoad_MergedFilesMustNotContradictEachOther(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"1.yaml": "domain: llm\nunmatched: allow\ndescriptors:\n  - {key: a, limits: [{rate: 1/s, name: x}]}\n",
		"2.yaml": "domain: llm\nunmatched: deny\ndescriptors:\n  - {key: a, limits: [{rate: 2/s}]}\n  - {key: b, limits: [{rate: 2/s, name: x}]}\n",
	})
	r, faults := Load([]string{dir}, Options{MergeDomains: true})
	want := []string{
		`2.yaml:2:12: error: unmatched differs from 1.yaml:2:12, a file of the same domain`,
		`2.yaml:4:11: error: the descriptor "a" is here a second time, first at 1.yaml:4:11`,
		`2.yaml:5:41: error: the name "x" is taken by the limit at 1.yaml:4:41`,
	}
	if got := brief(dir, faults); !slices.Equal(got, want) || r != nil {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLoad_BoundsWhatAFileCanCost(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("domain: llm\ndescriptors:\n- &a0 {key: a, rate_limit: {unit: second, requests_per_unit: 1}}\n")
	for i := range 30 {
		fmt.Fprintf(&bomb, "- &a%d {key: k%d, descriptors: [{key: x, descriptors: [*a%d]}, {key: y, descriptors: [*a%d]}]}\n", i+1, i, i, i)
	}
	deep := "domain: llm\ndescriptors: " + strings.Repeat("[{key: a, descriptors: ", maxDepth) + "[{key: a}]" + strings.Repeat("}]", maxDepth)
	for name, c := range map[string]struct{ content, want string }{
		"alias bomb":    {bomb.String(), "aliases expand this file by more than 100000 nodes"},
		"deep":          {deep, "descriptors nest deeper than 100"},
		"deep yaml":     {"domain: " + strings.Repeat("[", 20_000), "exceeded max depth"},
		"large":         {"domain: llm\n#" + strings.Repeat("x", maxFileSize), "more than 16777216"},
		"many faults":   {"domain: llm\n" + strings.Repeat("x: 1\n", 5000), "more than 1000 errors"},
		"one long line": {"domain: llm\ndescriptors: [" + strings.Repeat("{x: 1},", 200_000) + "]", "(a line of 1400"},
	} {
		f := parse(newText("test.yaml", []byte(c.content)))
		if text := f.faults.Text(); !f.faults.Failed() || !strings.Contains(text, c.want) || len(f.faults) > 2*maxFaults+2 {
			t.Errorf("%s: %d faults without %q:\n%.2000s", name, len(f.faults), c.want, text)
		}
	}
}

// A thousand user ids without quotes are a thousand warnings and no error.
func TestLoad_WarningsNeverRefuseAFile(t *testing.T) {
	var content strings.Builder
	content.WriteString("domain: llm\ndescriptors:\n")
	for i := range 3 * maxFaults {
		fmt.Fprintf(&content, "  - {key: user, value: %d, rate_limit: {unit: second, requests_per_unit: 1}}\n", i)
	}
	f := parse(newText("test.yaml", []byte(content.String())))
	if f.faults.Failed() || f.faults.Count(Warning) != maxFaults+1 {
		t.Errorf("%d errors, %d warnings", f.faults.Count(Error), f.faults.Count(Warning))
	}
}
