package migrate

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/ruletest"
)

// The reference, as far as these tests compare with it.

// node is a descriptor of a rule file.
type node struct {
	Key         string  `json:"key"`
	Value       string  `json:"value,omitempty"`
	Limit       *limit  `json:"rate_limit,omitempty"`
	Shadow      bool    `json:"shadow_mode,omitempty"`
	Shared      bool    `json:"share_threshold,omitempty"`
	Detailed    bool    `json:"detailed_metric,omitempty"`
	Descriptors []*node `json:"descriptors,omitempty"`
}

// limit is a rate_limit. No two of a file have the same Requests, which tells them apart.
type limit struct {
	Unit      string              `json:"unit,omitempty"`
	Requests  int64               `json:"requests_per_unit,omitempty"`
	Unlimited bool                `json:"unlimited,omitempty"`
	Name      string              `json:"name,omitempty"`
	Replaces  []map[string]string `json:"replaces,omitempty"`
}

func (n *node) joined() string {
	if n.Value == "" {
		return n.Key
	}
	return n.Key + "_" + n.Value
}

// meets tells whether a text meets a pattern.
func meets(pattern, text string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star || !strings.HasPrefix(text, before) {
		return text == pattern
	}
	for i := len(before); i <= len(text); i++ {
		if meets(after, text[i:]) {
			return true
		}
	}
	return false
}

// step is the node of one level that an entry meets: exactly, by the first pattern, by the key.
func step(level []*node, e descriptors.Entry) *node {
	for _, meet := range []func(n *node) bool{
		func(n *node) bool { return n.joined() == e.Key+"_"+e.Value },
		func(n *node) bool { return strings.Contains(n.joined(), "*") && meets(n.joined(), e.Key+"_"+e.Value) },
		func(n *node) bool { return n.joined() == e.Key },
	} {
		if i := slices.IndexFunc(level, meet); i >= 0 {
			return level[i]
		}
	}
	return nil
}

// match is the node whose limit a descriptor meets, and what tells its counter apart.
func match(level []*node, entries []descriptors.Entry) (n *node, counter string) {
	for _, e := range entries {
		if n = step(level, e); n == nil {
			return nil, ""
		}
		told := e.Key + "=" + e.Value
		if n.Shared {
			told = n.joined()
		}
		level, counter = n.Descriptors, counter+","+told
	}
	if n.Limit == nil {
		return nil, ""
	}
	return n, counter
}

// replaced are the limits that a request meets and none other of it replaces.
func replaced(met []*node) (left []int64) {
	names := map[string]bool{}
	for _, n := range met {
		for _, r := range n.Limit.Replaces {
			names[r["name"]] = true
		}
	}
	for _, n := range met {
		if n.Limit.Name == "" || !names[n.Limit.Name] {
			left = append(left, n.Limit.Requests)
		}
	}
	return left
}

var lengths = map[string]int64{"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400, "year": 365 * 86400}

// tree makes random rules.
type tree struct {
	*rand.Rand
	keys, values, names []string
	limits              int64
	most                int64 // 0: every limit has an amount of its own
}

func (t *tree) one(of []string) string { return of[t.IntN(len(of))] }

func (t *tree) level(depth int) (level []*node) {
	for range 1 + t.IntN(3) {
		n := &node{Key: t.one(t.keys), Value: t.one(t.values), Shadow: t.IntN(6) == 0, Detailed: t.IntN(6) == 0}
		n.Shared = strings.Contains(n.Value, "*") && t.IntN(2) == 0
		if slices.ContainsFunc(level, func(other *node) bool { return other.joined() == n.joined() }) {
			continue
		}
		if depth < 3 && t.IntN(2) == 0 {
			n.Descriptors = t.level(depth + 1)
		}
		if n.Descriptors == nil || t.IntN(3) > 0 {
			n.Limit = t.limit()
		}
		level = append(level, n)
	}
	return level
}

func (t *tree) limit() *limit {
	t.limits++
	l := &limit{Unit: t.one([]string{"second", "MINUTE", "hour", "day", "Week", "month", "year"}), Requests: t.limits, Name: t.one(t.names)}
	if t.most > 0 {
		l.Requests = t.Int64N(t.most + 1)
	}
	if t.IntN(8) == 0 {
		l.Unit, l.Unlimited, l.Requests = "", true, 0
	}
	if name := t.one(t.names); name != "" && name != l.Name {
		l.Replaces = []map[string]string{{"name": name}}
	}
	return l
}

func (t *tree) entries() (all []descriptors.Entry) {
	for range 1 + t.IntN(3) {
		all = append(all, descriptors.Entry{Key: strings.ReplaceAll(t.one(t.keys), "*", "1"), Value: strings.ReplaceAll(t.one(t.values), "*", "7")})
	}
	return all
}

// file writes rules as the reference reads them, and answers them as weir does.
func (t *tree) file(tb testing.TB, level []*node, o Options) (*descriptors.Rules, descriptors.Faults) {
	tb.Helper()
	content, err := json.Marshal(map[string]any{"domain": "d", "descriptors": level})
	if err != nil {
		tb.Fatal(err)
	}
	return rewritten(tb, o, string(content))
}

// rewritten are files as weir serve reads what became of them.
func rewritten(tb testing.TB, o Options, files ...string) (*descriptors.Rules, descriptors.Faults) {
	tb.Helper()
	dir := tb.TempDir()
	var names []string
	for i, content := range files {
		names = append(names, filepath.Join(dir, string(rune('a'+i))+".conf"))
		if err := os.WriteFile(names[i], []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	result, told := Rules(names, o)
	if told.Failed() {
		tb.Fatalf("%s\n%s", told.Text(), files)
	}
	out := tb.TempDir()
	for _, f := range result.Files {
		if err := os.WriteFile(filepath.Join(out, f.Name), f.Content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	rules, faults := descriptors.Load([]string{out}, descriptors.Options{})
	if rules == nil || faults.Failed() {
		tb.Fatalf("%s\n%s", faults.Text(), result.Files[0].Content)
	}
	return rules, told
}

// stated tells that rules state all keys of descriptors.
func stated(level []*node, all []descriptors.Descriptor) bool {
	var states func(level []*node, key string) bool
	states = func(level []*node, key string) bool {
		return slices.ContainsFunc(level, func(n *node) bool { return n.Key == key || states(n.Descriptors, key) })
	}
	for _, d := range all {
		if slices.ContainsFunc(d.Entries, func(e descriptors.Entry) bool { return !states(level, e.Key) }) {
			return false
		}
	}
	return true
}

// What weir serve meets of any request is what the reference met, or it was told that it is not.
func TestRules_MeetWhatTheyMetOrItIsTold(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 1))
	met, differ := 0, 0
	for i := range 250 {
		made := &tree{Rand: random, keys: []string{"a", "b", "a_b", "a_b_c", "p*", "a_*"}, values: []string{"", "", "b", "c", "b_c", "x*", "*"}, names: []string{"", "n", "m", "override", "a=b"}}
		clean := i%4 == 0 // no key is another one up to its "_"
		if clean {
			made.keys = []string{"a", "b"}
		}
		level := made.level(1)
		rules, told := made.file(t, level, Options{KeepWindows: i%2 == 0})
		if clean && told.Count(descriptors.Note) > 0 {
			t.Fatalf("%s\nit is told that something differs", told.Text())
		}
		for range 50 {
			request := descriptors.Request{Domain: "d"}
			var limits []*node
			for range 1 + random.IntN(3) {
				entries := made.entries()
				request.Descriptors = append(request.Descriptors, descriptors.Descriptor{Entries: entries})
				if n, _ := match(level, entries); n != nil {
					limits = append(limits, n)
				}
			}
			want, got := replaced(limits), []int64(nil)
			for _, m := range rules.Resolve(&request).Matches {
				got = append(got, m.Limit.Requests)
			}
			met += len(want)
			if !slices.Equal(got, want) {
				if differ++; told.Count(descriptors.Note) == 0 && stated(level, request.Descriptors) {
					content, _ := json.Marshal(level)
					t.Fatalf("%s\n%v meets %v, and met %v", content, request.Descriptors, got, want)
				}
			}
		}
	}
	if met < 2000 || differ < 300 {
		t.Errorf("%d limits were met, %d requests differed: that compares little", met, differ)
	}
}

// With the windows kept, each request is decided as it was: those of one hit for one descriptor,
// whose refusals change nothing.
func TestRules_WithTheirWindowsDecideAsTheyDid(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 2))
	var told [2]int
	for range 150 {
		made := &tree{Rand: random, keys: []string{"a", "b", "p*"}, values: []string{"", "b", "x*", "x*z", "y"}, names: []string{""}, most: 5}
		level := made.level(1)
		asked := [][]descriptors.Entry{made.entries(), made.entries(), made.entries(), made.entries()}
		rules, _ := made.file(t, level, Options{KeepWindows: true})
		now := time.Date(2026, 2, 25, 23, 59, 0, 0, time.UTC)
		replica, counts := ruletest.New(rules, ruletest.Options{Start: now}), map[string]int64{}
		for range 200 {
			entries := asked[random.IntN(len(asked))]
			judged, err := replica.Judge(&descriptors.Request{Domain: "d", Descriptors: []descriptors.Descriptor{{Entries: entries}}}, 0)
			if err != nil {
				t.Fatal(err)
			}
			want := true
			if n, counter := match(level, entries); n != nil && !n.Limit.Unlimited {
				window := now.Unix() / lengths[strings.ToLower(n.Limit.Unit)]
				counter += n.Limit.Unit + time.Unix(window, 0).String()
				counts[counter]++
				want = counts[counter] <= n.Limit.Requests || n.Shadow
			}
			if judged.Admitted != want {
				content, _ := json.Marshal(level)
				t.Fatalf("%s\n%v at %s: admitted is %v, want %v", content, entries, now, judged.Admitted, want)
			}
			if told[0]++; !want {
				told[1]++
			}
			if random.IntN(8) == 0 {
				now = now.Add(time.Duration(random.Int64N(int64([]time.Duration{time.Second, time.Minute, 24 * time.Hour, 20 * 24 * time.Hour}[random.IntN(4)]))))
				replica.Move(now)
			}
		}
	}
	if told[1] < 1000 {
		t.Errorf("%d of %d requests were refused: that compares little", told[1], told[0])
	}
}
