package events

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// In each second at most so many events of a limit pass, the first ones, and none
// is forgotten: each is told, or counted with the next that is.
func TestG23_SamplingLosesNoCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, most := time.Unix(1000, 0), rapid.IntRange(1, 5).Draw(t, "per second")
		s := NewSampler(most, func() time.Time { return now })
		type tally struct{ happened, accounted, silent int64 }
		limits, passed := map[string]*tally{}, map[string]int{}
		for range rapid.IntRange(1, 300).Draw(t, "events") {
			if rapid.IntRange(0, 9).Draw(t, "pause") == 0 {
				now = now.Add(time.Duration(rapid.IntRange(1, 2500).Draw(t, "ms")) * time.Millisecond)
			}
			name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "limit")
			if limits[name] == nil {
				limits[name] = &tally{}
			}
			l, in := limits[name], fmt.Sprint(name, now.Unix())
			l.happened++
			suppressed, tell := s.Sample("d", name)
			if want := passed[in] < most; tell != want {
				t.Fatalf("%d have passed in this second, told %v", passed[in], tell)
			}
			if !tell {
				l.silent++
				continue
			}
			passed[in]++
			l.accounted, l.silent = l.accounted+1+suppressed, 0
			if l.accounted != l.happened {
				t.Fatalf("%d happened, %d accounted for", l.happened, l.accounted)
			}
		}
	})
}

func TestSamplerDomainsAreApart(t *testing.T) {
	s := NewSampler(1, nil)
	for _, domain := range []string{"a", "b"} {
		if _, tell := s.Sample(domain, "limit"); !tell {
			t.Errorf("nothing is told of %s", domain)
		}
	}
}

// Reloads that bring ever new names do not fill the memory, and refusals at known
// limits allocate nothing.
func TestSamplerIsBoundedAndFree(t *testing.T) {
	s := NewSampler(1, nil)
	for i := range 3 * maxSampled {
		s.Sample("d", fmt.Sprint(i))
	}
	if len(s.seen) > maxSampled {
		t.Errorf("%d limits are known", len(s.seen))
	}
	if n := testing.AllocsPerRun(1000, func() { s.Sample("d", "known") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
