//go:build !race

package descriptors

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lookups are rule files of n rules, and requests whose way through them has the same
// few steps whatever n is.
var lookups = map[string]struct {
	head, rule string // rule with its number
	last       string // after all rules
	entries    []Entry
	limit      string // that is met, empty for none
}{
	"a value": {
		rule: "  - {key: user, value: u%d, limits: [{rate: 1/s}]}\n", entries: []Entry{{"user", "u7"}}, limit: "user=u7",
	},
	"a value below another": {
		rule:    "  - {key: org, value: o%d, descriptors: [{key: user, value: u, limits: [{rate: 1/s}]}]}\n",
		entries: []Entry{{"org", "o7"}, {"user", "u"}}, limit: "org=o7/user=u",
	},
	"no rule": {
		rule: "  - {key: user, value: u%d, limits: [{rate: 1/s}]}\n", entries: []Entry{{"user", "nobody"}},
	},
	"the key alone, beside its values": {
		rule: "  - {key: user, value: u%d, limits: [{rate: 1/s}]}\n", last: "  - {key: user, limits: [{rate: 1/s}]}\n",
		entries: []Entry{{"user", "nobody"}}, limit: "user",
	},
	"the best match": {
		head: "matching: best\n", rule: "  - {key: user, value: u%d, limits: [{rate: 1/s}]}\n",
		entries: []Entry{{"user", "u7"}, {"more", "x"}}, limit: "user=u7",
	},
	"a network": {
		rule: "  - {key: ip, value_cidr: '2001:db8:%x::/48', limits: [{rate: 1/s}]}\n", entries: []Entry{{"ip", "2001:db8:7::1"}},
		limit: "ip=2001:db8:7::/48",
	},
}

// A request visits as many nodes as it has entries, however many rules there are. One
// that looked at each rule would take a thousand times as long with a thousand times
// as many; larger maps and caches that miss explain far less than four times.
func TestBudget_LookupDoesNotGrowWithTheRules(t *testing.T) {
	const few, many, most = 20, 20_000, 4
	for name, c := range lookups {
		t.Run(name, func(t *testing.T) {
			req := &Request{Domain: "d", Descriptors: []Descriptor{{Entries: c.entries}}}
			load := func(n int) *Rules {
				var b strings.Builder
				b.WriteString("domain: d\n" + c.head + "descriptors:\n")
				for i := range n {
					fmt.Fprintf(&b, c.rule, i)
				}
				path := filepath.Join(t.TempDir(), "rules.yaml")
				if err := os.WriteFile(path, []byte(b.String()+c.last), 0o600); err != nil {
					t.Fatal(err)
				}
				rules, faults := Load([]string{path}, Options{})
				if faults.Failed() {
					t.Fatal(faults)
				}
				met := ""
				for _, m := range rules.Resolve(req).Matches {
					met += m.Limit.Name
				}
				if met != c.limit {
					t.Fatalf("with %d rules %v meets %q, want %q", n, c.entries, met, c.limit)
				}
				return rules
			}
			small, large := load(few), load(many)
			if a, b := fastest(small, req), fastest(large, req); b > most*a {
				t.Errorf("%d rules take %v for 500 lookups, %d take %v", few, a, many, b)
			}
		})
	}
}

// fastest is the time of 500 lookups when nothing else disturbs them.
func fastest(r *Rules, req *Request) time.Duration {
	best := time.Hour
	for range 10 {
		began := time.Now()
		for range 500 {
			r.Resolve(req)
		}
		best = min(best, time.Since(began))
	}
	return best
}
