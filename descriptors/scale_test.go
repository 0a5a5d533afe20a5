//go:build !race

package descriptors

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// manyRules is a rule file with a limit for each of n users.
func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("domain: d\ndescriptors:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {key: user, value: u%07d, limits: [{rate: 100/s, burst: 200}]}\n", i)
	}
	return b.String()
}

func loadMany(t testing.TB, n int) *Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(manyRules(n)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewSource(path, Options{})
	if r := s.Reload(); len(r.Faults) > 0 {
		t.Fatal(r.Faults)
	}
	return s
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// 100,000 rules, and all that their reload and changes need of them, live in less than
// 110 MiB, so that a process with them stays below 120.
func TestBudget_HeapOf100000Rules(t *testing.T) {
	const rules, most = 100_000, 110 << 20
	before := heap()
	s := loadMany(t, rules)
	if grown := heap() - before; grown > most {
		t.Errorf("%d rules take %d bytes, %d each, want at most %d in all", rules, grown, grown/rules, most)
	}
	for range 1000 {
		i := rand.IntN(rules)
		value := fmt.Sprintf("u%07d", i)
		found := s.Rules().Resolve(&Request{Domain: "d", Descriptors: []Descriptor{{Entries: []Entry{{"user", value}}}}})
		if len(found.Matches) != 1 || found.Matches[0].Limit.Name != "user="+value {
			t.Fatalf("%s met %v", value, found.Matches)
		}
	}
	runtime.KeepAlive(s)
}

// BenchmarkResolveOfManyRules is what the rules do for one request of a random user.
func BenchmarkResolveOfManyRules(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			rules, random := loadMany(b, n).Rules(), rand.New(rand.NewPCG(1, 2))
			requests := make([]Request, 1<<16)
			for i := range requests {
				requests[i] = Request{Domain: "d", Descriptors: []Descriptor{{Entries: []Entry{{"user", fmt.Sprintf("u%07d", random.IntN(n))}}}}}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				rules.Resolve(&requests[i&(len(requests)-1)])
			}
		})
	}
}
