package cli

import (
	"os"
	"strings"
	"testing"
)

const presetRules = "domain: llm\npresets: [{model_limits: {groups: {vip: [0, 1000]}}}]\n"

// An operator sees what a preset stands for, and can put it in the preset's place.
func TestM06_RulesPrintsWhatAGroupTableStandsFor(t *testing.T) {
	inFiles(t, map[string]string{"llm.yaml": presetRules})
	got := weirHere(t, nil, "rules", "llm.yaml")
	if got.code != exitOK || got.stderr != "" || !strings.Contains(got.stdout, "{name: model_limits/vip/success, algorithm: sliding_window, rate: 1000/min, count: success") {
		t.Fatalf("%+v", got)
	}
	if err := os.WriteFile("printed.yaml", []byte(got.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := weirHere(t, nil, "rules", "printed.yaml"); again != got {
		t.Errorf("printed again it is %+v", again)
	}
}

func TestRules_PrintsNothingOfFaultyFiles(t *testing.T) {
	inFiles(t, map[string]string{"good.yaml": goodRules, "faulty.yaml": faultyRules, "warning.yaml": warningRules})
	for args, want := range map[string]result{
		"good.yaml warning.yaml": {exitOK, "# \"good.yaml\"\n" + goodRules + "---\n# \"warning.yaml\"\n" + warningRules, "warning.yaml:3:21: warning: "},
		"good.yaml faulty.yaml":  {exitFailure, "", "faulty.yaml:3:30: error: "},
		"absent.yaml":            {exitFailure, "", "absent.yaml: error: cannot be read"},
		"dir":                    {exitFailure, "", "weir: no rule file in \"dir\""},
	} {
		got := weirHere(t, nil, append([]string{"rules"}, strings.Fields(args)...)...)
		if got.code != want.code || got.stdout != want.stdout || !strings.Contains(got.stderr, want.stderr) {
			t.Errorf("weir rules %s: %+v, want %+v", args, got, want)
		}
	}
}
