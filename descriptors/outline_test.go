package descriptors

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const outlined = `domain: llm
passive: [size]
pools: [{name: units, rate: 10/s, burst: 100}]
presets: [{model_limits: {groups: {vip: [0, 1000]}}}]
descriptors:
  - key: user
    limits: [{name: per-user, rate: 60/min, burst: 20, weight: {by: size, values: {large: 5}}, shadow_mode: true}]
    descriptors:
      - {key: path, value: "/a*", limits: [{name: per-path, rate: 10/s}]}
  - {key: ip, value_cidr: 10.0.0.0/8, limits: [{name: lan, algorithm: sliding_window, rate: 100/s}, {name: atonce, algorithm: concurrency, slots: 3}]}
  - {key: api, value: search, draw: {pool: units, weight: 3}}
  - {key: free, rate_limit: {unlimited: true}}
`

// told is an outline as text: each rule with its line, its limits and their marks.
func told(o Outline) string {
	var b strings.Builder
	var walk func(rules []OutlinedRule, indent string)
	walk = func(rules []OutlinedRule, indent string) {
		for _, r := range rules {
			name := r.Key
			if r.Value != "" {
				name += r.Sign + r.Value
			}
			fmt.Fprintf(&b, "%s%s :%d", indent, name, r.Line)
			if r.Preset != "" {
				fmt.Fprintf(&b, " preset %s changed=%v", r.Preset, r.Changed)
			}
			b.WriteString("\n")
			for _, l := range r.Limits {
				fmt.Fprintf(&b, "%s- %s %s", indent, l.Name, l.Algorithm)
				for _, part := range []struct {
					name, value string
				}{{"", l.Admits}, {"weight ", l.Weight}, {"of ", l.Pool}, {"stated ", l.Stated}, {"metadata ", l.Metadata}, {"detail ", l.Detail}, {"shared by ", l.Shared}} {
					if part.value != "" {
						b.WriteString("; " + part.name + part.value)
					}
				}
				for name, is := range map[string]bool{"shadow": l.Shadow, "off": l.Disabled} {
					if is {
						b.WriteString("; " + name)
					}
				}
				if l.Changed || l.Own > 0 {
					fmt.Fprintf(&b, "; changed=%v own=%d", l.Changed, l.Own)
				}
				b.WriteString("\n")
			}
			walk(r.Rules, indent+"  ")
		}
	}
	walk(o.Rules, "")
	return b.String()
}

// The tree is that of the file, with what is set beside what is stated.
func TestOutline_IsTheTreeWithPlacesAndMarks(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": outlined})
	s := NewSource(dir, Options{})
	s.Reload()
	set(t, s, `{"limit":"per-user","rate":"120/min"}`, `{"limit":"lan","for":{"ip":"10.0.0.7"},"blocked":true}`, `{"limit":"atonce","enabled":false}`,
		`{"limit":"units","rate":"20/s"}`, `{"limit":"model_limits","success":5}`)
	o, known := s.Outline("llm", "", 100)
	want := `user :6
- per-user token_bucket; 120 per minute, 20 at once; weight by size: large 5, else 1; stated 60 per minute, 20 at once; shadow; changed=true own=0
  path=/a* :9
  - per-path token_bucket; 10 per second
ip in 10.0.0.0/8 :10
- lan sliding_window; 100 per second; changed=false own=1
- atonce concurrency; 3 slots; off; changed=true own=0
api=search :11
- api=search pool; weight 3; of units; changed=true own=0
free :12
- free unlimited; everything
preset=model_limits :4 preset model_limits changed=true
  first of token_group, user_group=vip :4
    user :4
    - model_limits/vip/success-no-model sliding_window; 1000 per minute
      model :4
      - model_limits/vip/success sliding_window; 1000 per minute
  user :4
  - model_limits/success-no-model sliding_window; 5 per minute
    model :4
    - model_limits/success sliding_window; 5 per minute
`
	if diff := cmp.Diff(want, told(o)); diff != "" || !known {
		t.Errorf("known %v, (-want +got):\n%s", known, diff)
	}
	if o.Total != 11 || o.Shown != 11 || o.Matching != "exact" || o.Unmatched != "allow" || !cmp.Equal(o.Passive, []string{"size"}) || len(o.Files) != 1 {
		t.Errorf("%+v", o)
	}
	if _, known := s.Outline("other", "", 100); known {
		t.Error("a domain that there is not has an outline")
	}
}

// What a rule has answers repeat, metrics tell apart and values share is told of its limits.
func TestOutline_TellsMetadataDetailsAndSharedBuckets(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": `domain: d
descriptors:
  - {key: free, rate_limit: {unlimited: true}, metadata: {team: search, n: [1.5, null]}}
  - {key: file, value: "a*", share_threshold: true, value_to_metric: true, descriptors: [{key: b, rate_limit: {name: files, unit: second, requests_per_unit: 1}}]}
  - {key: all, detailed_metric: true, rate_limit: {name: all, unit: second, requests_per_unit: 1}}
  - {key: "x*", share_threshold: true, rate_limit: {name: xs, unit: second, requests_per_unit: 1}}
`})
	s := NewSource(dir, Options{})
	s.Reload()
	o, _ := s.Outline("d", "", 100)
	want := `free :3
- free unlimited; everything; metadata {"n":[1.5,null],"team":"search"}
file=a* :4
  b :4
  - files token_bucket; 1 per second; detail value_to_metric; shared by file=a*
all :5
- all token_bucket; 1 per second; detail detailed_metric
x* :6
- xs token_bucket; 1 per second; shared by x*
`
	if diff := cmp.Diff(want, told(o)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A search finds keys, values and names of limits, and shows where they stand.
func TestOutline_ASearchShowsWhatItFindsInItsPlace(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": outlined})
	s := NewSource(dir, Options{})
	s.Reload()
	for search, want := range map[string]string{
		"PER-PATH": "user/path=/a*", "path=/a": "user/path=/a*", "per-user": "user/path=/a*", "10.0": "ip=10.0.0.0/8", "nothing": "",
	} {
		o, _ := s.Outline("llm", search, 100)
		var names []string
		for rules := o.Rules; len(rules) > 0; rules = rules[0].Rules {
			name := rules[0].Key
			if rules[0].Value != "" {
				name += "=" + rules[0].Value
			}
			names = append(names, name)
		}
		if got := strings.Join(names, "/"); got != want {
			t.Errorf("%s finds %q, want %q", search, got, want)
		}
	}
	if o, _ := s.Outline("llm", "", 3); o.Shown != 3 || o.Found != 11 || strings.Count(told(o), ":") < 3 {
		t.Errorf("of which three are shown: %d of %d\n%s", o.Shown, o.Found, told(o))
	}
}

// Values of a domain that hides them are not told to who looks at its rules, nor are
// they found.
func TestOutline_HidesValuesThatTheDomainHides(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, dir, map[string]string{"a.yaml": `domain: llm
keys: {hash: hmac-sha256, secret_file: ` + secret + `, entries: [user]}
descriptors:
  - {key: user, value: alice, limits: [{name: hers, rate: 9/s, weight: {by: user, values: {alice: 2}}}]}
  - {key: user, value: "al*", limits: [{name: like, rate: 1/s}]}
`})
	s := NewSource(dir, Options{})
	if r := s.Reload(); r.Faults.Failed() {
		t.Fatal(r.Faults.Text())
	}
	o, _ := s.Outline("llm", "", 100)
	if text := told(o); strings.Contains(text, "alice") || !strings.Contains(text, "user=(hidden)") || !strings.Contains(text, "user=al*") || !o.Hashed {
		t.Errorf("it tells\n%s", text)
	}
	if o, _ := s.Outline("llm", "alice", 100); o.Found != 0 {
		t.Errorf("a search for the value finds\n%s", told(o))
	}
}

// Of rules that are too many for a page the uppermost are shown, each with how many are
// below it, and what a search finds is shown with what is below it.
func TestOutline_ShowsTheUppermostOfMany(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	text.WriteString("domain: big\ndescriptors:\n")
	for tenant := range 20 {
		fmt.Fprintf(&text, "  - {key: tenant, value: t%d, descriptors: [", tenant)
		for user := range 50 {
			fmt.Fprintf(&text, "{key: user, value: u%d, limits: [{rate: 1/s}]}, ", user)
		}
		text.WriteString("]}\n")
	}
	put(t, dir, map[string]string{"a.yaml": text.String()})
	s := NewSource(dir, Options{})
	if r := s.Reload(); r.Faults.Failed() {
		t.Fatal(r.Faults.Text())
	}
	o, _ := s.Outline("big", "", 30)
	if o.Total != 1020 || o.Found != 1020 || o.Shown != 30 || len(o.Rules) != 20 {
		t.Fatalf("%d of %d found and %d, the uppermost are %d", o.Shown, o.Found, o.Total, len(o.Rules))
	}
	for i, r := range o.Rules {
		if want := map[bool]int{true: 10}[i == 0]; r.Below != 50 || len(r.Rules) != want {
			t.Errorf("rule %d has %d below, and shows %d, want %d", i, r.Below, len(r.Rules), want)
		}
	}
	if o, _ := s.Outline("big", "tenant=t7", 30); o.Found != 51 || o.Shown != 30 || len(o.Rules) != 1 || len(o.Rules[0].Rules) != 29 || o.Rules[0].Below != 50 {
		t.Errorf("a search finds %d and shows %d\n%s", o.Found, o.Shown, told(o))
	}
	if o, _ := s.Outline("big", "u49", 30); o.Found != 20 || o.Shown != 15 || len(o.Rules) != 15 {
		t.Errorf("a search for what is deep finds %d and shows %d\n%s", o.Found, o.Shown, told(o))
	}
}

// An outline is made once for each set of rules, and not kept for ever.
func TestOutline_IsKeptWhileTheRulesAreThoseAndSomebodyLooks(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": outlined})
	synctest.Test(t, func(t *testing.T) {
		s := NewSource(dir, Options{})
		s.Reload()
		whole := func() *Outline { return s.outline("llm") }
		first := whole()
		if whole() != first {
			t.Error("it is made again")
		}
		if o, _ := s.Outline("llm", "per-path", 100); o.Found != 1 || whole() != first {
			t.Error("it is made again for a search")
		}
		off := false
		s.SetChanges([]Change{{Domain: "llm", Limit: "per-user", Enabled: &off}})
		if o, _ := s.Outline("llm", "", 100); whole() == first || !strings.Contains(told(o), "per-user") {
			t.Error("it is of rules that there are no more")
		}
		time.Sleep(outlineKept + time.Second)
		synctest.Wait()
		if s.outlined.whole != nil {
			t.Error("it is kept for ever")
		}
	})
}
