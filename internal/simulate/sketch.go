package simulate

import (
	"cmp"
	"slices"
)

// mostKeys bounds the keys that are counted. Any key of which more than one in so many
// refusals was is among them.
const mostKeys = 64

// sketch finds the keys that come most often, of however many (the space-saving
// algorithm of Metwally, Agrawal and El Abbadi): a key that is not counted takes the
// place of the rarest and begins with its count.
type sketch struct {
	at   map[string]int
	keys []keyCount
}

// keyCount is how often a key came, at most over times fewer.
type keyCount struct {
	key   string
	count int64
	over  int64
}

func newSketch() *sketch { return &sketch{at: map[string]int{}} }

func (s *sketch) add(key string) {
	if i, counted := s.at[key]; counted {
		s.keys[i].count++
		return
	}
	if len(s.keys) < mostKeys {
		s.at[key] = len(s.keys)
		s.keys = append(s.keys, keyCount{key, 1, 0})
		return
	}
	least := 0
	for i := range s.keys {
		if s.keys[i].count < s.keys[least].count {
			least = i
		}
	}
	delete(s.at, s.keys[least].key)
	s.at[key] = least
	s.keys[least] = keyCount{key, s.keys[least].count + 1, s.keys[least].count}
}

// top are the keys that came most often, of which it is sure that they came more often
// than those that are left out might have.
func (s *sketch) top(n int) []keyCount {
	all := slices.Clone(s.keys)
	slices.SortFunc(all, func(a, b keyCount) int {
		return cmp.Or(cmp.Compare(b.count-b.over, a.count-a.over), cmp.Compare(a.key, b.key))
	})
	return all[:min(n, len(all))]
}
