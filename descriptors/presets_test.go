package descriptors

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The settings page shows a preset beside what its file states, also after a change.
func TestM21_APresetIsShownAsStatedAndAsItIs(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": groupTable})
	s := NewSource(dir, Options{})
	s.Reload()
	got := s.Presets()
	if len(got) != 1 || !cmp.Equal(got[0].Stated, got[0].Live) {
		t.Fatalf("without a change: %+v", got)
	}
	if p := got[0].Live; p.Domain != "llm" || p.Name != "model_limits" || !strings.HasSuffix(p.File, "a.yaml") || p.Line != 4 || !p.Enabled || p.Period != time.Minute ||
		p.Total != 0 || p.Success != 1000 || p.Groups["default"] != [2]int64{200, 100} || len(p.Groups) != 2 {
		t.Errorf("it is shown as %+v", p)
	}
	set(t, s, `{"limit":"model_limits","period":"5m","enabled":false,"groups":{}}`)
	got = s.Presets()
	if live := got[0].Live; live.Period != 5*time.Minute || live.Enabled || len(live.Groups) != 0 || live.Success != 1000 {
		t.Errorf("with a change it is shown as %+v", live)
	}
	if stated := got[0].Stated; stated.Period != time.Minute || !stated.Enabled || len(stated.Groups) != 2 {
		t.Errorf("the file states %+v", stated)
	}
}

// A change of a preset is told all that is wrong with it at once, by field.
func TestM21_EachFieldOfAPresetIsToldItsFault(t *testing.T) {
	total, success := int64(-1), int64(0)
	c := Change{Domain: "llm", Limit: "model_limits", Period: "0s", Total: &total, Success: &success, Groups: map[string][2]int64{"vip": {0, 0}}}
	var fields []string
	for _, f := range c.PresetFaults() {
		fields = append(fields, f.Field)
	}
	if want := []string{"period", "total", "success", "groups.vip[1]"}; !cmp.Equal(fields, want) {
		t.Errorf("faults of %q, want %q", fields, want)
	}
	if sound := (Change{Domain: "llm", Limit: "model_limits", Period: "2m"}).PresetFaults(); len(sound) > 0 {
		t.Errorf("a sound change has %v", sound)
	}
}

// The text of a group table is read as one in a file is.
func TestM07_TheTextOfAGroupTableIsCheckedAsAFileIs(t *testing.T) {
	groups, faults := ReadGroups("{\n \"default\": [200, 100],\n \"vip\": [0, 1000]\n}")
	if len(faults) > 0 || !cmp.Equal(groups, map[string][2]int64{"default": {200, 100}, "vip": {0, 1000}}) {
		t.Fatalf("%v, %v", groups, faults)
	}
	for text, want := range map[string]struct {
		line int
		says string
	}{
		"":                                      {1, "no JSON"},
		"[1]":                                   {1, "must be a mapping"},
		"{\"a\": [1, 2],\n\"b\" [1, 2]}":        {2, "no JSON"},
		"{\"a\": [1, 2],\n\"a\": [1, 2]}":       {2, "second time"},
		"{\n\"vip\": [0]}":                      {2, "1 number, not 2"},
		"{\"vip\": [0, 0]}":                     {1, "the success of group \"vip\" must be between 1 and 2147483647"},
		"{\"vip\": [-1, 1]}":                    {1, "the total of group \"vip\""},
		"{\"vip\": [0, 2147483648]}":            {1, "between 1 and 2147483647"},
		"{\"vip\": [\"0\", 1]}":                 {1, "text"},
		"{\"\": [0, 1]}":                        {1, "empty name"},
		"{\"a*\": [0, 1]}":                      {1, "no *"},
		strings.Repeat("x", maxTableBytes+1):    {1, "bytes, more than"},
		"{\"vip\": " + strings.Repeat("[", 300): {1, "no JSON"},
	} {
		_, faults := ReadGroups(text)
		if len(faults) == 0 || faults[0].Line != want.line || !strings.Contains(faults[0].Message, want.says) {
			t.Errorf("%.60q: %+v, want %q on line %d", text, faults, want.says, want.line)
		}
	}
}
