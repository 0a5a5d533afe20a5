//go:build !race

package descriptors

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func loadMany(t testing.TB, rule string, n int) *Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(manyRules(rule, n)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewSource(path, Options{})
	if r := s.Reload(); len(r.Faults) > 0 {
		t.Fatal(r.Faults)
	}
	return s
}

func heap() (bytes, objects int64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.HeapObjects)
}

// 100,000 rules, and all that their reload and changes need of them, live in so little
// that a process with them stays below 120 MiB, and in so few pieces that the garbage
// collector has little to walk over: some 900, which were 1,100,000.
func TestBudget_HeapOf100000Rules(t *testing.T) {
	const rules, mostObjects = 100_000, 2000
	for rule, most := range map[string]int64{oneLevel: 40 << 20, twoLevels: 50 << 20} {
		before, objects := heap()
		s := loadMany(t, rule, rules)
		grown, more := heap()
		grown, more = grown-before, more-objects
		if t.Logf("%d MiB in %d objects with rules as %s", grown>>20, more, rule); grown > most || more > mostObjects {
			t.Errorf("%d rules take %d bytes, %d each, in %d objects, want at most %d in %d", rules, grown, grown/rules, more, most, mostObjects)
		}
		for range 1000 {
			entries, want := []Entry{{"user", fmt.Sprintf("u%07d", rand.IntN(rules))}}, "user="
			if want += entries[0].Value; rule == twoLevels {
				entries, want = append(entries, Entry{"model", "any"}), want+"/model"
			}
			found := s.Rules().Resolve(&Request{Domain: "d", Descriptors: []Descriptor{{Entries: entries}}})
			if len(found.Matches) != 1 || found.Matches[0].Limit.Name != want {
				t.Fatalf("%v met %v, want %s", entries, found.Matches, want)
			}
		}
		runtime.KeepAlive(s)
	}
}

// BenchmarkResolveOfManyRules is what the rules do for one request of a random user.
func BenchmarkResolveOfManyRules(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			rules, random := loadMany(b, oneLevel, n).Rules(), rand.New(rand.NewPCG(1, 2))
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
