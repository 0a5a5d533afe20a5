package traffic

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
)

// sketch counts the keys of one limit, in a room that is bounded whatever clients send:
// two generations, of which the older only waits to be forgotten.
//
// A hit beyond some thousand a second is looked at with a chance of one in weight, so
// that the most frequent decisions pay least.
type sketch struct {
	weight atomic.Uint32 // a power of two

	mu     sync.Mutex
	looked int // at so many hits, since weight was chosen
	now    *table
	before *table // nil: there is none
	since  int    // the second in which now was begun
}

const (
	// mostLooked is after how many hits in a second half as many are looked at from
	// then on; of less than fewLooked twice as many are in the next second.
	mostLooked = 1024
	fewLooked  = mostLooked / 4
	mostWeight = 1 << 20
)

func (s *sketch) begin(second int) {
	s.now, s.since = newTable(), second
	s.weight.Store(1)
}

// count counts a use of a key: of a hit, or of tokens alone, which nobody is counted for
// who was not before.
func (s *sketch) count(key string, hit, refused bool, tokens int64) {
	weight := s.weight.Load()
	if weight == 1 || rand.Uint32()&(weight-1) == 0 {
		s.look(weight, key, hit, refused, tokens)
	}
}

func (s *sketch) look(weight uint32, key string, hit, refused bool, tokens int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked++; s.looked > mostLooked && weight < mostWeight && weight == s.weight.Load() {
		s.weight.Store(weight * 2)
		s.looked = 0
	}
	s.now.count(key, int64(weight), hit, refused, tokens)
}

// tick is called once in each second.
func (s *sketch) tick(second int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if weight := s.weight.Load(); weight > 1 && s.looked < fewLooked {
		s.weight.Store(weight / 2)
	}
	s.looked = 0
	if second-s.since >= int(Generation.Seconds()) {
		s.before, s.now, s.since = s.now, newTable(), second
	}
}

// top is what both generations know together. before tells that the older one is part
// of it.
func (s *sketch) top() (all summary, since int, before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = s.now.summary()
	if s.before != nil {
		all = all.join(s.before.summary())
	}
	slices.SortStableFunc(all.keys, byHits)
	return all, s.since, s.before != nil
}

// table counts by the space-saving algorithm of Metwally, Agrawal and El Abbadi: a key
// that has no counter takes over the one with the fewest hits, and with it these hits as
// its possible error.
type table struct {
	places   map[string]uint8
	counters [MaxKeys]counter
	hits     [MaxKeys]int64 // of the counters, close together: they are searched for the fewest
	total    int64
	oneIn    int64
}

type counter struct {
	key                   string
	over, refused, tokens int64 // over: hits of other keys that it may have been given
}

func newTable() *table { return &table{places: make(map[string]uint8, MaxKeys), oneIn: 1} }

func (t *table) count(key string, weight int64, hit, refused bool, tokens int64) {
	place, known := t.places[key]
	if !known {
		if !hit {
			return
		}
		place = t.take(key)
	}
	c := &t.counters[place]
	c.tokens += tokens * weight
	if hit {
		t.hits[place] += weight
		t.total += weight
		t.oneIn = max(t.oneIn, weight)
	}
	if refused {
		c.refused += weight
	}
}

// take gives a key a counter.
func (t *table) take(key string) (place uint8) {
	if n := len(t.places); n < MaxKeys {
		place = uint8(n)
		t.counters[place].key = key
	} else {
		place = t.fewest()
		c := &t.counters[place]
		delete(t.places, c.key)
		*c = counter{key: key, over: t.hits[place]}
	}
	t.places[key] = place
	return place
}

func (t *table) fewest() (place uint8) {
	for i := range t.hits {
		if t.hits[i] < t.hits[place] {
			place = uint8(i)
		}
	}
	return place
}

// summary is what a table knows: of the keys that it does not know, none has more than
// unknown hits.
type summary struct {
	total, unknown, oneIn int64
	keys                  []counted
}

type counted struct {
	counter
	hits int64
}

func byHits(a, b counted) int { return cmp.Compare(b.hits, a.hits) }

func (t *table) summary() summary {
	s := summary{total: t.total, oneIn: t.oneIn}
	n := len(t.places)
	if n == MaxKeys {
		s.unknown = t.hits[t.fewest()]
	}
	for i := range n {
		s.keys = append(s.keys, counted{t.counters[i], t.hits[i]})
	}
	return s
}

// join is what two summaries know together.
func (s summary) join(other summary) summary {
	all := summary{total: s.total + other.total, unknown: s.unknown + other.unknown, oneIn: max(s.oneIn, other.oneIn)}
	places := map[string]int{}
	for _, k := range s.keys {
		places[k.key] = len(all.keys)
		k.hits, k.over = k.hits+other.unknown, k.over+other.unknown
		all.keys = append(all.keys, k)
	}
	for _, k := range other.keys {
		if place, both := places[k.key]; both {
			one := &all.keys[place]
			one.hits += k.hits - other.unknown
			one.over += k.over - other.unknown
			one.refused += k.refused
			one.tokens += k.tokens
			continue
		}
		k.hits, k.over = k.hits+s.unknown, k.over+s.unknown
		all.keys = append(all.keys, k)
	}
	slices.SortStableFunc(all.keys, byHits)
	if len(all.keys) > MaxKeys {
		all.unknown = max(all.unknown, all.keys[MaxKeys].hits)
		all.keys = all.keys[:MaxKeys]
	}
	return all
}
