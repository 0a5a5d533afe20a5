package traffic

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func sketchOf() *sketch {
	s := &sketch{}
	s.begin(0)
	return s
}

// exact is what a sketch approximates.
type exact struct{ hits, refused, tokens int64 }

// checkBounds holds what is told of keys against what is true of all of them.
func checkBounds(t interface {
	Helper()
	Fatalf(string, ...any)
}, s summary, all map[string]*exact,
) {
	t.Helper()
	told := map[string]counted{}
	for _, k := range s.keys {
		told[k.key] = k
	}
	if len(s.keys) > MaxKeys || len(told) != len(s.keys) || !slices.IsSortedFunc(s.keys, byHits) {
		t.Fatalf("%d keys, %d different, want at most %d, each once and in order", len(s.keys), len(told), MaxKeys)
	}
	var total int64
	for key, is := range all {
		total += is.hits
		k, known := told[key]
		switch {
		case !known && is.hits > s.unknown:
			t.Fatalf("%q is not among them with %d hits, more than %d", key, is.hits, s.unknown)
		case !known:
		case is.hits > k.hits || is.hits < k.hits-k.over:
			t.Fatalf("%q has %d hits, but is told to have %d, at most %d of them of others", key, is.hits, k.hits, k.over)
		case k.refused > is.refused || k.tokens > is.tokens || k.over == 0 && k.refused != is.refused:
			t.Fatalf("%q: refused %d, tokens %d; told are %d and %d, of others %d", key, is.refused, is.tokens, k.refused, k.tokens, k.over)
		}
	}
	if s.total != total {
		t.Fatalf("%d hits in all, told are %d", total, s.total)
	}
}

// What is told of keys is true within the error that is told with it, whatever keys
// clients send, in whichever order and over how many generations.
func TestKeys_AreRightWithinTheErrorThatIsTold(t *testing.T) {
	most := 0
	rapid.Check(t, func(t *rapid.T) {
		s, second := sketchOf(), 0
		generations := []map[string]*exact{{}}
		for range rapid.IntRange(1, 40).Draw(t, "bursts") {
			var next func(i int) string
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0: // a few that come again and again
				n := rapid.IntRange(1, 90).Draw(t, "keys")
				next = func(i int) string { return fmt.Sprint("often ", i*i%n) }
			case 1: // ever new ones, which drive out what is known
				base := rapid.IntRange(0, 1<<30).Draw(t, "base")
				next = func(i int) string { return fmt.Sprint("new ", base+i) }
			case 2: // exactly one more than there are counters, in turn
				next = func(i int) string { return fmt.Sprint("turn ", i%(MaxKeys+1)) }
			default:
				second += rapid.IntRange(1, 400).Draw(t, "pause")
				began := s.since
				if s.tick(second); s.since != began {
					generations = append(generations, map[string]*exact{})
				}
				continue
			}
			for i := range rapid.IntRange(1, 300).Draw(t, "hits") {
				key, refused, tokens := next(i), i%3 == 0, int64(i%5)
				counts := generations[len(generations)-1]
				if counts[key] == nil {
					counts[key] = &exact{}
				}
				counts[key].hits++
				if refused {
					counts[key].refused++
				}
				counts[key].tokens += tokens
				s.looked = 0 // there is no sampling here
				s.count(key, true, refused, tokens)
			}
		}
		both := map[string]*exact{}
		for _, counts := range generations[max(0, len(generations)-2):] {
			for key, c := range counts {
				if both[key] == nil {
					both[key] = &exact{}
				}
				both[key].hits += c.hits
				both[key].refused += c.refused
				both[key].tokens += c.tokens
			}
		}
		all, _, _ := s.top()
		checkBounds(t, all, both)
		if len(s.now.places) > MaxKeys {
			t.Fatalf("%d keys are kept", len(s.now.places))
		}
		most = max(most, len(both))
	})
	if most < 5*MaxKeys {
		t.Errorf("at most %d keys were sent: too few to show anything", most)
	}
}

// Of a limit that is met very often few hits are looked at, and what is told is about
// right all the same. When it is met less often all are looked at again.
func TestKeys_OfManyHitsFewAreLookedAt(t *testing.T) {
	const hits = 100_000
	s := sketchOf()
	var rare [10_000]string
	for i := range rare {
		rare[i] = fmt.Sprintf("rare %d", i)
	}
	looked := 0
	for second := range 10 {
		for i := range hits {
			before := s.looked
			key := rare[i%len(rare)]
			if i%4 == 0 {
				key = "often"
			}
			s.count(key, true, i%8 == 0, 1)
			if s.looked != before {
				looked++
			}
		}
		s.tick(second + 1)
	}
	if most := 10 * 20 * mostLooked; looked > most {
		t.Errorf("%d of %d hits were looked at, more than %d", looked, 10*hits, most)
	}
	all, _, _ := s.top()
	first := all.keys[0]
	if first.key != "often" || first.hits < hits*10/4*8/10 || first.hits-first.over > hits*10/4*12/10 {
		t.Errorf("the most frequent key is %q with %d hits, at most %d too many; it had %d", first.key, first.hits, first.over, hits*10/4)
	}
	if first.refused < first.hits/2*8/10 || first.refused > first.hits/2*12/10 || all.oneIn < 16 {
		t.Errorf("refused %d of %d, one in %d looked at", first.refused, first.hits, all.oneIn)
	}
	for second := range 30 {
		s.tick(second + 11)
	}
	if weight := s.weight.Load(); weight != 1 {
		t.Errorf("one hit in %d is looked at when there are none", weight)
	}
}

// Tokens that are settled later are those of a key that is known, and drive none out.
func TestKeys_WhatIsSettledIsNoHit(t *testing.T) {
	s := sketchOf()
	s.count("a", true, false, 3)
	s.count("a", false, false, 40)
	s.count("b", false, false, 5)
	all, _, _ := s.top()
	if len(all.keys) != 1 || all.keys[0].hits != 1 || all.keys[0].tokens != 43 || all.total != 1 {
		t.Errorf("%+v", all)
	}
}
