package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// edited is the example with other rules: pairs of a text and what stands in its
// place.
func edited(t *testing.T, pairs ...string) func() stage.Example {
	t.Helper()
	rules, err := os.ReadFile("rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if !bytes.Contains(rules, []byte(pairs[i])) {
			t.Fatalf("rules.yaml has no %q", pairs[i])
		}
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	rewrite(t, path, strings.NewReplacer(pairs...).Replace(string(rules)))
	return func() stage.Example {
		e := example()
		e.Weir = append(e.Weir, "--rules", path)
		return e
	}
}

// rewrite replaces a file whole, as an editor does.
func rewrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// set changes the preset by the API of the first weir.
func set(t *testing.T, s *stage.Stage, method, change string) (status int, answer map[string]any) {
	t.Helper()
	return call(t, method, "http://"+s.Weirs[0].HTTP+"/api/v1/limits/model_limits", change)
}

func call(t *testing.T, method, url, body string) (status int, answer map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s: %s: %v", response.Status, text, err)
	}
	return response.StatusCode, answer
}

// live waits until every weir lists a limit as it is wanted.
func live(t *testing.T, s *stage.Stage, limit string, wanted func(listed map[string]any) bool) {
	t.Helper()
	for _, weir := range s.Weirs {
		reach(t, limit+" is changed", func() bool {
			_, answer := call(t, http.MethodGet, "http://"+weir.HTTP+"/api/v1/limits", "")
			limits, _ := answer["limits"].([]any)
			return slices.ContainsFunc(limits, func(l any) bool {
				listed, _ := l.(map[string]any)
				return listed["limit"] == limit && wanted(listed)
			})
		})
	}
}

// The switch is thrown while weir runs, on all replicas, and what was used stays
// used.
func TestM01_M20_TheSwitchIsReadOnEveryRequest(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 100, 101, chat("sk-alice", "gpt-4"))
		if status, answer := set(t, s, http.MethodPut, `{"enabled":false,"author":"op","reason":"test"}`); status != http.StatusOK {
			t.Fatalf("%d %v", status, answer)
		}
		live(t, s, "model_limits/default/success", func(l map[string]any) bool { return l["enabled"] == false })
		mustPass(t, s, 50, 50, chat("sk-alice", "gpt-4"))
		if status, answer := set(t, s, http.MethodDelete, ""); status != http.StatusOK {
			t.Fatalf("%d %v", status, answer)
		}
		live(t, s, "model_limits/default/success", func(l map[string]any) bool { return l["enabled"] == true })
		mustPass(t, s, 0, 4, chat("sk-alice", "gpt-4"))
	})
}

// A table that is set takes the place of the old one whole; one that is wrong
// changes nothing and says where.
func TestM06_M07_N14_ATableIsSetWholeOrNotAtAll(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 100, 101, chat("sk-alice", "gpt-4"))
		for change, field := range map[string]string{
			`{"groups":{"default":[1]}}`:                     "groups.default",
			`{"groups":{"default":[1,2,3]}}`:                 "groups.default",
			`{"groups":{"default":[-1,1]}}`:                  "groups.default[0]",
			`{"groups":{"default":[1,0]}}`:                   "groups.default[1]",
			`{"groups":{"default":[2147483648,1]}}`:          "groups.default[0]",
			`{"groups":{"vip":[0,5],"default":[1,"2"]}}`:     "groups.default",
			`{"total":-1}`:                                   "total",
			`{"success":0}`:                                  "success",
			`{"period":"0m"}`:                                "period",
			`{"period":1}`:                                   "period",
			`{"groups":{"default":[900,900]},"success":"x"}`: "success",
		} {
			status, answer := set(t, s, http.MethodPut, change)
			got, _ := answer["field"].(string)
			if status < 400 || status > 499 || !strings.HasPrefix(got, field) || answer["detail"] == "" {
				t.Errorf("%s: %d %v, want the field %s", change, status, answer, field)
			}
		}
		mustPass(t, s, 0, 2, chat("sk-alice", "gpt-4"))
		if status, answer := set(t, s, http.MethodPut, `{"groups":{"default":[0,150],"trial":[4,4]},"author":"op","reason":"more"}`); status != http.StatusOK {
			t.Fatalf("%d %v", status, answer)
		}
		live(t, s, "model_limits/trial/total", func(map[string]any) bool { return true })
		mustPass(t, s, 50, 120, chat("sk-alice", "gpt-4")) // what was used stays used
		mustPass(t, s, 4, 6, chat("sk-dave", "gpt-4"))
	})
}

// The same in the file: a table that is wrong leaves what was live.
func TestM02_M07_N14_ABadFileChangesNothing(t *testing.T) {
	stagetest.OnEachStore(t, edited(t, "period: 1m", "period: 5m"), func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 100, 101, chat("sk-alice", "gpt-4"))
		if message, _, _ := openAI(t, answered(t, s, chat("sk-alice", "gpt-4"))); !strings.Contains(message, "5分钟内最多请求100次") {
			t.Errorf("%q", message)
		}
	})
	for _, table := range []string{`'{"default": [1000]}'`, `'{"default": [1000, 1000, 1000]}'`, `'{"default": [1000, 1000'`} {
		e := edited(t)()
		path := e.Weir[len(e.Weir)-1]
		s := stagetest.Start(t, e, "memory")
		mustPass(t, s, 100, 101, chat("sk-alice", "gpt-4"))
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rewrite(t, path, strings.Replace(string(good), `'{"default": [200, 100], "vip": [0, 1000]}'`, table, 1))
		reach(t, "the fault is told", func() bool {
			return strings.Contains(s.Weirs[0].Output(), `"fault in a rule file"`) && strings.Contains(s.Weirs[0].Output(), `"line":23`)
		})
		mustPass(t, s, 0, 2, chat("sk-alice", "gpt-4"))
	}
}
