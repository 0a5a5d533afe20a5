package descriptors

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

const groupTable = `
domain: llm
presets:
  - model_limits: {period: 1m, success: 1000, groups: {default: [200, 100], vip: [0, 1000]}}
`

// charged names the bucket and the limit of each charge of one descriptor, with its
// number and seconds, successes told by a star.
func charged(r *Rules, desc string) string {
	var parts []string
	for _, m := range r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: entries(desc)}}}).Matches {
		star := ""
		if m.Limit.CountSuccess {
			star = "*"
		}
		parts = append(parts, fmt.Sprintf("%s %d/%v%s", m.Limit.Name, m.Limit.Requests, m.Limit.Period.Seconds(), star))
	}
	return strings.Join(parts, ", ")
}

// Which of a request's groups decides, whichever of them Envoy could tell.
func TestM08_TheFirstGroupOfTheTableElseTheGlobalPair(t *testing.T) {
	r := rulesOf(t, groupTable)
	const (
		vip      = "model_limits/vip/success 1000/60*"
		ordinary = "model_limits/default/total 200/60, model_limits/default/success 100/60*"
		global   = "model_limits/success 1000/60*"
	)
	for entries, want := range map[string]string{
		"token_group=vip user_group=default user=u model=m": vip,
		"user_group=default token_group=vip user=u model=m": vip,
		"token_group=default user_group=vip user=u model=m": ordinary,
		"user_group=vip user=u model=m":                     vip,
		"token_group=vip user=u model=m":                    vip,
		"token_group=unheard user_group=vip user=u model=m": vip,
		"token_group=unheard user_group=no user=u model=m":  global,
		"token_group= user_group=vip user=u model=m":        vip,
		"user=u model=m":          global,
		"token_group=vip user=u":  "model_limits/vip/success-no-model 1000/60*",
		"user=u":                  "model_limits/success-no-model 1000/60*",
		"token_group=vip":         "",
		"token_group=vip model=m": "",
	} {
		if got := charged(r, "preset=model_limits "+entries); got != want {
			t.Errorf("%s is charged %q, want %q", entries, got, want)
		}
	}
}

// bucketOf is the bucket of successes that a request draws from.
func bucketOf(r *Rules, entries []Entry) string {
	for _, m := range r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: entries}}}).Matches {
		if m.Limit.CountSuccess {
			return m.Charge.Key
		}
	}
	return ""
}

// Two requests share a bucket if they are of one user, in one group, for one model,
// and only then: a token of a group opens no second one beside the user's own
// group, and a group that is not in the table opens none at all.
func TestM09_M10_N9_N10_ABucketForEachUserGroupAndModel(t *testing.T) {
	r := rulesOf(t, groupTable)
	type choice struct{ token, group, user, model string }
	entriesOf := func(c choice) []Entry {
		es := []Entry{{presetKey, modelLimits}}
		for _, e := range []Entry{{"token_group", c.token}, {"user_group", c.group}, {"user", c.user}, {"model", c.model}} {
			if e.Value != "absent" {
				es = append(es, e)
			}
		}
		return es
	}
	draw := func(t *rapid.T) (choice, []Entry) {
		name := func(what string, absent bool, of ...string) string {
			if absent {
				of = append(of, "absent")
			}
			return rapid.SampledFrom(of).Draw(t, what)
		}
		c := choice{
			name("token", true, "default", "vip", "x", "y"), name("group", true, "default", "vip", "x", "y"),
			name("user", false, "u", "v", "default"), name("model", true, "gpt-4", "claude", "u"),
		}
		return c, entriesOf(c)
	}
	effective := func(c choice) string {
		for _, g := range []string{c.token, c.group} {
			if g == "default" || g == "vip" {
				return g
			}
		}
		return ""
	}
	rapid.Check(t, func(t *rapid.T) {
		a, as := draw(t)
		b, bs := draw(t)
		if rapid.Bool().Draw(t, "of the same user") {
			b.user, b.model = a.user, a.model
			bs = entriesOf(b)
		}
		keyA, keyB := bucketOf(r, as), bucketOf(r, bs)
		same := effective(a) == effective(b) && a.user == b.user && a.model == b.model
		if keyA == "" || keyB == "" || (keyA == keyB) != same {
			t.Fatalf("%v and %v share a bucket: %v, want %v\n%s\n%s", as, bs, keyA == keyB, same, keyA, keyB)
		}
	})
}

// A table without groups is one too: whatever group is sent, the global pair holds.
func TestM08_WithoutGroupsTheGlobalPairIsForAll(t *testing.T) {
	for _, table := range []string{"{}", "{groups: {}}"} {
		r := rulesOf(t, "domain: llm\npresets: [{model_limits: "+table+"}]\n")
		for _, entries := range []string{"token_group=vip user_group=x user=u model=m", "user_group=x user=u model=m", "user=u model=m"} {
			if got := charged(r, "preset=model_limits "+entries); got != "model_limits/success 1000/60*" {
				t.Errorf("%s: %s is charged %q", table, entries, got)
			}
		}
	}
}

// The groups of one model each, which that system's users make do with, are groups
// like others.
func TestM10_GroupsNamedAfterModels(t *testing.T) {
	r := rulesOf(t, "domain: llm\npresets: [{model_limits: {groups: {gpt4_group: [5, 3], claude_group: [50, 30]}}}]\n")
	for group, want := range map[string]string{
		"gpt4_group":   "model_limits/gpt4_group/total-no-model 5/60, model_limits/gpt4_group/success-no-model 3/60*",
		"claude_group": "model_limits/claude_group/total-no-model 50/60, model_limits/claude_group/success-no-model 30/60*",
	} {
		if got := charged(r, "preset=model_limits token_group="+group+" user=u"); got != want {
			t.Errorf("%s is charged %s, want %s", group, got, want)
		}
	}
}

// What a preset has that states nothing: a period of a minute, no total, 1000
// successes; and the bounds of all numbers.
func TestM02_M03_M04_M07_N15_DefaultsAndBounds(t *testing.T) {
	for stated, want := range map[string]string{
		"{}":                                "model_limits/success 1000/60*",
		"{period: 5m, total: 3}":            "model_limits/total 3/300, model_limits/success 1000/300*",
		"{period: 1s, success: 1}":          "model_limits/success 1/1*",
		"{total: 2147483647}":               "model_limits/total 2147483647/60, model_limits/success 1000/60*",
		"{success: 2147483647}":             "model_limits/success 2147483647/60*",
		"{groups: {u: [0, 1]}, success: 5}": "model_limits/success 5/60*",
	} {
		r := rulesOf(t, "domain: llm\npresets: [{model_limits: "+stated+"}]\n")
		if got := charged(r, "preset=model_limits user=u model=m"); got != want {
			t.Errorf("%s: %s, want %s", stated, got, want)
		}
		for _, l := range r.Limits() {
			checkLimit(t, l)
		}
	}
	for stated, place := range map[string]string{
		"{total: -1}":                        "2:34: error: total must be between 0 and 2147483647",
		"{total: 2147483648}":                "2:34: error: total must be between 0 and 2147483647",
		"{success: 0}":                       "2:36: error: success must be between 1 and 2147483647",
		"{period: 0}":                        "2:35: error: period cannot be the number 0",
		"{period: 0s}":                       `2:35: error: period is "0s", too short`,
		"{period: -1m}":                      `2:35: error: period is "-1m", too short`,
		"{period: 8761h}":                    `2:35: error: period is "8761h", longer than a year`,
		"{period: 1000001us}":                `2:35: error: period is "1000001us", no whole number of milliseconds`,
		"{groups: {vip: [1]}}":               `2:41: error: group "vip" has 1 number, not 2`,
		"{groups: {vip: [1, 2, 3]}}":         `2:41: error: group "vip" has 3 numbers, not 2`,
		`{groups: '{"vip": [1, 2, 3]}'}`:     `2:44: error: group "vip" has 3 numbers, not 2`,
		`{groups: '{"vip": [2147483648,1]'}`: "2:57: error: groups is no JSON",
	} {
		_, faults := loadText(t, "domain: llm\npresets: [{model_limits: "+stated+"}]\n")
		if len(faults) != 1 || !strings.Contains(faults[0].Error(), place) || faults[0].Remedy == "" && !strings.Contains(place, "total must") {
			t.Errorf("%s: %s, want %s", stated, faults.Text(), place)
		}
	}
}

func loadText(t *testing.T, content string) (*Rules, Faults) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, map[string]string{"rules.yaml": content})
	return Load([]string{filepath.Join(dir, "rules.yaml")}, Options{})
}

// The table as that system keeps it, a text of JSON, is the table as a mapping, in
// every way that YAML writes a text.
func TestM06_ATableOfJSONIsATable(t *testing.T) {
	want := rulesOf(t, groupTable)
	for _, text := range []string{
		`'{"default": [200, 100], "vip": [0, 1000]}'`,
		`"{\"default\":[200,100],\"vip\":[0,1000]}"`,
		"|\n        {\n          \"default\": [200, 100],\n          \"vip\": [0, 1000]\n        }",
		">-\n        {\"default\": [200, 100],\n        \"v\\u0069p\": [0, 1000]}",
	} {
		got := rulesOf(t, "domain: llm\npresets:\n  - model_limits:\n      groups: "+text+"\n")
		for _, entries := range []string{"user_group=vip user=u model=m", "user_group=default user=u", "user=u"} {
			if a, b := charged(want, "preset=model_limits "+entries), charged(got, "preset=model_limits "+entries); a != b {
				t.Errorf("%s: %s is charged %s, want %s", text, entries, b, a)
			}
		}
	}
}

// A bad table changes nothing: what was live stays, the old table whole.
func TestM07_N14_ABadTableKeepsWhatWasLive(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"llm.yaml": groupTable})
	s := NewSource(dir, Options{})
	s.Reload()
	before := charged(s.Rules(), "preset=model_limits user_group=vip user=u model=m")
	for _, table := range []string{"{vip: [5]}", "{vip: [5, 6, 7]}", "{default: [7, 7], vip: [-1, 6]}", `'{"vip": [5, 6]'`, "{vip: }", "[]", "7"} {
		put(t, dir, map[string]string{"llm.yaml": "domain: llm\npresets: [{model_limits: {groups: " + table + "}}]\n"})
		if r := s.Reload(); !r.Faults.Failed() || states(r) != "llm:kept" {
			t.Errorf("%s: %s %s", table, states(r), r.Faults.Text())
		}
		if got := charged(s.Rules(), "preset=model_limits user_group=vip user=u model=m"); got != before {
			t.Errorf("%s: charged %s, want %s as before", table, got, before)
		}
	}
}

// A switch: off, nothing is charged, and what is off is listed.
func TestM01_APresetThatIsOffChargesNothing(t *testing.T) {
	r := rulesOf(t, strings.Replace(groupTable, "period: 1m", "enabled: false, period: 1m", 1))
	res := r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{{Entries: entries("preset=model_limits user_group=vip user=u")}}})
	if len(res.Matches) > 0 || len(res.Unmatched) > 0 || len(r.Limits()) == 0 {
		t.Errorf("%+v, %d limits", res, len(r.Limits()))
	}
}

// Both limits of a user are windows of the same length in which never more passes:
// not a bucket that refills while it is used (N4).
func TestN4_TheTwoLimitsAreStrictWindows(t *testing.T) {
	for _, l := range rulesOf(t, groupTable).Limits() {
		if w, ok := l.Bucket.(buckets.SlidingWindow); !ok || w.Window != 60_000_000 || w.Limit != l.Requests {
			t.Errorf("%s is %+v", l.Name, l.Bucket)
		}
	}
}

// Whoever changes a preset while weir runs is told all that is wrong, by field,
// and the preset stays as it is.
func TestM07_M20_AChangeOfAPresetIsChecked(t *testing.T) {
	parsed := parse(newText("x.yaml", []byte(groupTable)))
	stated := parsed.presets[0]
	n := func(n int64) *int64 { return &n }
	for _, c := range []struct {
		change Change
		fields string
	}{
		{Change{Total: n(0), Success: n(1), Period: "2m", Groups: map[string][2]int64{"a": {0, 1}, "b": {maxCount, maxCount}}}, ""},
		{Change{Groups: map[string][2]int64{}}, ""},
		{Change{Total: n(-1), Success: n(0), Period: "0m"}, "period total success"},
		{Change{Total: n(maxCount + 1), Success: n(maxCount + 1), Period: "1"}, "period total success"},
		{Change{Groups: map[string][2]int64{"a": {-1, 0}, "": {1, 1}, "b*": {1, 1}}}, "groups groups.a[0] groups.a[1] groups"},
		{Change{Rate: "1/s", Burst: n(1), Slots: n(1), For: map[string]string{"user": "u"}}, "for rate burst slots"},
	} {
		next, faults := stated.changed(&c.change)
		var fields []string
		for _, f := range faults {
			if fields = append(fields, f.Field); f.Message == "" {
				t.Errorf("%+v has no message", f)
			}
		}
		if got := strings.Join(fields, " "); got != c.fields || (next == nil) != (len(faults) > 0) {
			t.Errorf("%+v: faults of %q, want %q", c.change, got, c.fields)
		}
	}
	if diff := cmp.Diff(map[string]counts{"default": {200, 100}, "vip": {0, 1000}}, stated.groups, cmp.AllowUnexported(counts{})); diff != "" || stated.global != (counts{0, 1000}) {
		t.Errorf("the preset is another one: %+v %s", stated.global, diff)
	}
}
