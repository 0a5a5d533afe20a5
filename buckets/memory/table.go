package memory

import (
	"hash/maphash"
	"math/bits"
)

// table finds buckets by key. It grows by linear hashing (W. Litwin, 1980): each
// bucket that is added adds one chain, which gets its part of one other chain. So no
// call pays for the growth of a million, as it would for a map, and a bucket costs 8
// bytes: the head of a chain and its link. Whoever can choose keys does not know the
// seed, so that chains stay short.
//
// Neither chains nor entries are given back before the table is empty.
type table struct {
	seed    maphash.Seed
	hash    func(key string) uint64
	entries slab[bucket] // the first is none
	free    uint32       // the first that is not in use; the others follow by next
	heads   slab[uint32] // of each chain its first entry, 0 if it is empty
	size    int          // entries in chains
	moved   uint64       // entries whose chain was changed by growth
}

func newTable() table {
	t := table{seed: maphash.MakeSeed()}
	t.hash = func(key string) uint64 { return maphash.String(t.seed, key) }
	t.clear()
	return t
}

func (t *table) clear() {
	t.entries, t.heads, t.free = slab[bucket]{}, slab[uint32]{}, 0
	t.entries.push(bucket{})
	t.heads.push(0)
}

// chain is the number of the chain for a hash: its lowest bits, one bit fewer
// where that chain is not there yet.
func (t *table) chain(hash uint64) uint32 {
	width := bits.Len32(t.heads.size - 1)
	c := uint32(hash) & (1<<width - 1)
	if c >= t.heads.size {
		c &= 1<<(width-1) - 1
	}
	return c
}

// get is the bucket of a key, nil if none is held.
func (t *table) get(key string) *bucket {
	for id := *t.heads.at(t.chain(t.hash(key))); id != 0; {
		b := t.entries.at(id)
		if b.key == key {
			return b
		}
		id = b.next
	}
	return nil
}

// allot is an entry that is in no chain, until [table.add] or [table.release].
func (t *table) allot() *bucket {
	if t.free == 0 {
		t.entries.push(bucket{id: t.entries.size})
		return t.entries.at(t.entries.size - 1)
	}
	b := t.entries.at(t.free)
	t.free, b.next = b.next, 0
	return b
}

// release gives an entry back that is in no chain.
func (t *table) release(b *bucket) {
	*b = bucket{id: b.id, next: t.free}
	t.free = b.id
}

// add puts an entry in the chain of its key.
func (t *table) add(b *bucket) {
	t.size++
	if t.size > int(t.heads.size) {
		t.split()
	}
	t.link(b)
}

func (t *table) link(b *bucket) {
	head := t.heads.at(t.chain(t.hash(b.key)))
	b.next, *head = *head, b.id
}

// split adds a chain, and shares with it the entries of the chain that stood for
// both until now.
func (t *table) split() {
	from := t.heads.size - 1<<(bits.Len32(t.heads.size)-1)
	t.heads.push(0)
	head := t.heads.at(from)
	id := *head
	*head = 0
	for id != 0 {
		b := t.entries.at(id)
		id = b.next
		t.link(b)
		t.moved++
	}
}

// remove takes an entry out of its chain.
func (t *table) remove(b *bucket) {
	at := t.heads.at(t.chain(t.hash(b.key)))
	for *at != b.id {
		at = &t.entries.at(*at).next
	}
	*at, b.next = b.next, 0
	t.size--
}
