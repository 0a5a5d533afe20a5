package stats

import (
	"maps"
	"strings"
	"sync/atomic"
)

// table is a small map that is read without a lock: to add to it is to replace it by a
// copy, and for one writer at a time.
type table[K comparable, V any] struct{ current atomic.Pointer[map[K]V] }

func (t *table[K, V]) get(key K) (value V, ok bool) {
	if m := t.current.Load(); m != nil {
		value, ok = (*m)[key]
	}
	return value, ok
}

func (t *table[K, V]) len() int {
	if m := t.current.Load(); m != nil {
		return len(*m)
	}
	return 0
}

func (t *table[K, V]) add(key K, value V) {
	next := map[K]V{}
	if m := t.current.Load(); m != nil {
		maps.Copy(next, *m)
	}
	next[key] = value
	t.current.Store(&next)
}

// obtain returns what a table has under a key, or creates it, under the lock. Keys that are
// new when there are as many as may be, or too long, are one.
func obtain[V any](s *Stats, t *table[string, V], key string, most int, create func(key string) V) V {
	if len(key) > maxNameLength {
		key = other
	}
	if v, ok := t.get(key); ok {
		return v
	}
	if t.len() >= most {
		key = other
		if v, ok := t.get(key); ok {
			return v
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.len() >= most { // by now
		key = other
	}
	if v, ok := t.get(key); ok {
		return v
	}
	v := create(key)
	t.add(strings.Clone(key), v)
	return v
}
