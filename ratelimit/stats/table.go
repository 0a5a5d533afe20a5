package stats

import (
	"maps"
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
