package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weir-rls/weir/envoy"
)

const wrongEnvoy = `name: envoy.filters.http.ratelimit
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
  domain: god
  timeout: 1s
`

const rightEnvoy = `name: envoy.filters.http.ratelimit
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
  domain: good
  timeout: 1s
  rate_limits: [{actions: [{generic_key: {descriptor_key: a, descriptor_value: x}}]}]
`

func TestCheckHelp_IsTheGoldenFile(t *testing.T) { isTheGoldenHelp(t, "check") }

func TestCheck_OfEnvoyExitCodeIsOneOnErrorsAlone(t *testing.T) {
	inFiles(t, map[string]string{"good.yaml": goodRules, "warning.yaml": warningRules, "wrong-envoy": wrongEnvoy, "right-envoy": rightEnvoy})
	for _, c := range []struct {
		args    string
		code    int
		summary string
	}{
		{"good.yaml --envoy right-envoy", exitOK, "0 errors, 0 warnings, 1 note"}, // no failure_mode_deny
		{"good.yaml --envoy wrong-envoy", exitFailure, "1 error, 1 warning, 1 note"},
		{"good.yaml --envoy wrong-envoy --envoy right-envoy", exitFailure, "1 error, 0 warnings, 2 notes"},
		{"good.yaml --envoy absent", exitFailure, "1 error, 0 warnings"},
		{"good.yaml --format sarif --envoy wrong-envoy", exitFailure, "}"},
		{"warning.yaml --format json", exitOK, "}"},
	} {
		got := weirHere(t, nil, append([]string{"check"}, strings.Fields(c.args)...)...)
		lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
		if got.code != c.code || lines[len(lines)-1] != c.summary || got.stderr != "" {
			t.Errorf("weir check %s: %+v, want code %d and %q", c.args, got, c.code, c.summary)
		}
	}
	if got := weirHere(t, nil, "check", "good.yaml", "--format", "xml"); got.code != exitUsage || got.stderr != "weir: --format: \"xml\" is not text, json or sarif\n" {
		t.Errorf("%+v", got)
	}
}

func TestCheck_JSONHasEveryPartOfAFinding(t *testing.T) {
	inFiles(t, map[string]string{"faulty.yaml": faultyRules, "good.yaml": goodRules, "wrong-envoy": wrongEnvoy})
	var report struct {
		Findings []finding
		Errors   int
		Warnings int
		Notes    int
	}
	got := weirHere(t, nil, "check", "good.yaml", "--envoy", "wrong-envoy", "--format", "json")
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatal(err, got.stdout)
	}
	if len(report.Findings) != 3 || report.Errors != 1 || report.Warnings != 1 || report.Notes != 1 {
		t.Fatalf("%+v", report)
	}
	for _, f := range report.Findings {
		if f.File == "" || f.Line == 0 || f.Column == 0 || f.ID == "" || f.Message == "" || f.Remedy == "" || !strings.Contains("error warning note", f.Severity) {
			t.Errorf("%+v", f)
		}
	}
	got = weirHere(t, nil, "check", "faulty.yaml", "--format", "json")
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || len(report.Findings) != 2 || report.Findings[0].ID != "rules" {
		t.Errorf("%v %+v", err, report)
	}
	inFiles(t, map[string]string{"good.yaml": goodRules})
	if got = weirHere(t, nil, "check", "good.yaml", "--format", "json"); !strings.Contains(got.stdout, `"findings": []`) {
		t.Error(got.stdout)
	}
}

// What SARIF 2.1.0 demands of what weir writes: the schema's required properties and
// its bounds.
func TestCheck_SARIFIsWhatItsSchemaDemands(t *testing.T) {
	inFiles(t, map[string]string{"a b.yaml": faultyRules, "wrong-envoy": wrongEnvoy})
	got := weirHere(t, nil, "check", "a b.yaml", "absent.yaml", "--envoy", "wrong-envoy", "--format", "sarif")
	type message struct{ Text string }
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			ColumnKind string
			Tool       struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID                   string
						ShortDescription     message
						DefaultConfiguration struct{ Level string }
					}
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   message
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine, StartColumn int }
					}
				}
			}
		}
	}
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&log); err != nil && !strings.Contains(err.Error(), "informationUri") {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(got.stdout), &log); err != nil || log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("%v\n%s", err, got.stdout)
	}
	run := log.Runs[0]
	levels := map[string]bool{"error": true, "warning": true, "note": true}
	seen := map[string]bool{}
	for _, r := range run.Tool.Driver.Rules {
		if seen[r.ID] || r.ID == "" || r.ShortDescription.Text == "" || !levels[r.DefaultConfiguration.Level] {
			t.Errorf("%+v", r)
		}
		seen[r.ID] = true
	}
	if run.Tool.Driver.Name != "weir" || len(seen) != len(envoy.Diagnostics)+1 || run.ColumnKind != "unicodeCodePoints" {
		t.Errorf("%+v", run.Tool)
	}
	files := map[string]int{}
	for _, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || !levels[r.Level] || r.Message.Text == "" || len(r.Locations) != 1 {
			t.Errorf("%+v", r)
		}
		place := r.Locations[0].PhysicalLocation
		if place.Region != nil && (place.Region.StartLine < 1 || place.Region.StartColumn < 1) {
			t.Errorf("%+v", place)
		}
		files[place.ArtifactLocation.URI]++
	}
	if files["a%20b.yaml"] != 2 || files["absent.yaml"] != 1 || files["wrong-envoy"] == 0 {
		t.Errorf("%v", files)
	}
}

// A file's name becomes a reference that a code host can resolve.
func TestURI_EscapesWhatIsNoPath(t *testing.T) {
	for name, want := range map[string]string{
		"rules/a.yaml": "rules/a.yaml", "/etc/weir/a b.yaml": "file:///etc/weir/a%20b.yaml",
		"c:x": "c%3Ax", "a/b:c": "a/b:c", "100%#?.yaml": "100%25%23%3F.yaml", "é": "%C3%A9",
	} {
		if got := uri(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
