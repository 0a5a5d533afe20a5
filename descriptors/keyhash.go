package descriptors

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"sync"
)

const (
	// hashKept is how many bytes of an HMAC-SHA-256 stand for a value in a bucket's
	// key: two values that share 128 bits are not found without the secret.
	hashKept = 16
	// hashShown is how many of them stand for a value that somebody reads.
	hashShown = 4
	// hashMark stands before a hash in a bucket's key, where an item has its length:
	// no value that a client sends is taken for a hash.
	hashMark = '$'
)

// keyHash replaces values of entries by their keyed hash, in bucket keys and
// wherever they are shown. The hash is of the value alone, so that an operator who
// has the secret finds what a value became with the usual tools. A nil one replaces
// nothing.
type keyHash struct {
	only   map[string]struct{} // keys of the entries that it is about, nil: all
	spared bool                // request_id is passive, and there to be told where entries are
	blind  bool                // there is no secret: the domain has a fault, and is not used
	states sync.Pool           // of *hashState: to begin with a secret takes two blocks more
}

type hashState struct {
	mac   hash.Hash
	chunk [256]byte // texts go through it: handed over as bytes each would be copied to the heap
	sum   [sha256.Size]byte
}

func newKeyHash(secret []byte) *keyHash {
	h := &keyHash{}
	if len(secret) == 0 { // which would be a hash that anybody can compute
		secret, h.blind = []byte(rand.Text()), true
	}
	h.states.New = func() any { return &hashState{mac: hmac.New(sha256.New, secret)} }
	return h
}

// hides tells whether values of entries with a key are replaced.
func (h *keyHash) hides(key string) bool {
	if h == nil {
		return false
	}
	if h.only == nil {
		return true
	}
	_, listed := h.only[key]
	return listed
}

// append appends the first bytes of a value's hash, in hexadecimal.
func (h *keyHash) append(b []byte, value string, bytes int) []byte {
	s := h.states.Get().(*hashState)
	s.mac.Reset()
	for len(value) > 0 {
		n := copy(s.chunk[:], value)
		s.mac.Write(s.chunk[:n])
		value = value[n:]
	}
	b = hex.AppendEncode(b, s.mac.Sum(s.sum[:0])[:bytes])
	h.states.Put(s)
	return b
}

// conceal replaces the values of the steps that are to be, once, and in place: they
// are needed for each limit at the end of a way.
func (h *keyHash) conceal(way []step) {
	n := 0
	for i := range way {
		if !way[i].hashed && h.hides(way[i].key) {
			n++
		}
	}
	if n == 0 {
		return
	}
	var space [2 * hashKept]byte
	var text strings.Builder
	text.Grow(n * len(space))
	for i := range way {
		if s := &way[i]; h.hides(s.key) {
			start := text.Len()
			text.Write(h.append(space[:0], s.value, hashKept))
			s.value, s.hashed = text.String()[start:], true
		}
	}
}

// appendValue appends the value of an entry to a bucket's key.
func (h *keyHash) appendValue(b []byte, key, value string) []byte {
	if !h.hides(key) {
		return appendItem(b, value)
	}
	return h.append(append(b, hashMark), value, hashKept)
}

// shown is a value as it may be read by others than the client who sent it.
func (h *keyHash) shown(value string) string {
	if h.blind {
		return "hmac:?"
	}
	return string(h.append([]byte("hmac:"), value, hashShown))
}

// covers tells that values of r, which are of its entry, are replaced.
func (h *keyHash) covers(r *rule) bool {
	switch {
	case h == nil:
		return false
	case h.only == nil:
		return true
	}
	for key := range h.only {
		if slices.Contains(r.keys(), key) || strings.Contains(r.key, "*") && newGlob(r.key).matches(key) {
			return true
		}
	}
	return false
}

// join has the values of a first_of replaced if those of one of its keys are: in
// bucket keys its own name stands for whichever key decided, and a group is the same
// group whoever named it.
func (h *keyHash) join(r *rule) {
	if h == nil || h.only == nil || r.firstOf == nil || !h.covers(r) {
		return
	}
	h.only[r.key] = struct{}{}
	for _, key := range r.firstOf {
		h.only[key] = struct{}{}
	}
}

// Redaction is what becomes of values before others than the client who sent them
// read them. The zero Redaction leaves them as they are.
type Redaction struct{ hash *keyHash }

// Entries are entries as they may be written to a log: they are those that it is
// given, or a copy.
func (r Redaction) Entries(entries []Entry) []Entry {
	if r.hash == nil {
		return entries
	}
	entries = slices.Clone(entries)
	for i := range entries {
		if e := &entries[i]; r.hash.hides(e.Key) && !(r.hash.spared && e.Key == requestIDKey) {
			e.Value = r.hash.shown(e.Value)
		}
	}
	return entries
}
