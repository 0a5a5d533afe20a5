package cli

import (
	"os"
	"strings"
	"testing"
)

const (
	goodRules    = "domain: good\ndescriptors:\n  - {key: a, limits: [{rate: 10/s}]}\n"
	warningRules = "domain: warning\ndescriptors:\n  - {key: a, value: 5, limits: [{rate: 10/s}]}\n" // 5 is no text: quotes are advised
	faultyRules  = "domain: faulty\ndescriptors:\n  - {key: a, limits: [{rate: ten}]}\n  - {key: b, colour: red, limits: [{rate: 1/s}]}\n"
)

func inFiles(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("dir", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheck_ExitCodeIsOneOnErrorsAndZeroOnWarningsAlone(t *testing.T) {
	inFiles(t, map[string]string{"good.yaml": goodRules, "warning.yaml": warningRules, "faulty.yaml": faultyRules})
	for _, c := range []struct {
		args    string
		code    int
		summary string
	}{
		{"good.yaml", exitOK, "no faults"},
		{"warning.yaml", exitOK, "0 errors, 1 warning"},
		{"warning.yaml good.yaml", exitOK, "0 errors, 1 warning"},
		{"faulty.yaml", exitFailure, "2 errors, 0 warnings"},
		{"good.yaml warning.yaml faulty.yaml", exitFailure, "2 errors, 1 warning"},
		{".", exitFailure, "2 errors, 1 warning"},
		{"absent.yaml", exitFailure, "1 error, 0 warnings"},
	} {
		got := weirHere(t, nil, append([]string{"check"}, strings.Fields(c.args)...)...)
		lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
		if got.code != c.code || lines[len(lines)-1] != c.summary || got.stderr != "" {
			t.Errorf("weir check %s: %+v, want code %d and %q", c.args, got, c.code, c.summary)
		}
	}
}

func TestCheck_TellsEveryFaultWithPlaceAndCaret(t *testing.T) {
	inFiles(t, map[string]string{"faulty.yaml": faultyRules})
	got := weirHere(t, nil, "check", "faulty.yaml")
	lines := strings.Split(got.stdout, "\n")
	for place, word := range map[string]string{"faulty.yaml:3:30: error: ": "ten", "faulty.yaml:4:14: error: ": "colour"} {
		found := false
		for i, line := range lines {
			if !strings.HasPrefix(line, place) || i+2 >= len(lines) {
				continue
			}
			caret := strings.Index(lines[i+2], "^")
			found = caret >= 0 && strings.HasPrefix(lines[i+1][caret:], word)
		}
		if !found {
			t.Errorf("no fault at %s with a caret under %s in\n%s", place, word, got.stdout)
		}
	}
}

func TestCheck_OneDomainInTwoFilesIsAFaultUnlessMerged(t *testing.T) {
	inFiles(t, map[string]string{"a.yaml": goodRules, "b.yaml": strings.ReplaceAll(goodRules, "key: a", "key: b")})
	for _, c := range []struct {
		environ []string
		args    []string
		code    int
	}{
		{nil, []string{"check", "a.yaml", "b.yaml"}, exitFailure},
		{nil, []string{"check", "--merge-domains", "a.yaml", "b.yaml"}, exitOK},
		{[]string{"WEIR_MERGE_DOMAINS=true"}, []string{"check", "."}, exitOK},
	} {
		if got := weirHere(t, c.environ, c.args...); got.code != c.code {
			t.Errorf("%v %v: %+v", c.environ, c.args, got)
		}
	}
}

// An empty directory must not look like a good one.
func TestCheck_NoRuleFileIsAFailure(t *testing.T) {
	inFiles(t, nil)
	got := weirHere(t, nil, "check", "dir")
	if got.code != exitFailure || got.stderr != "weir: no rule file in \"dir\": their names end in .yaml or .yml\n" || got.stdout != "" {
		t.Errorf("%+v", got)
	}
}
