package descriptors

import (
	"strconv"
	"strings"
)

// KeyEntry is one entry of a bucket, as its key tells it.
type KeyEntry struct {
	Entry
	Hidden bool // the value is a short hash: of one that the domain hides, or that is too long for a key
}

// ReadKey is what bucketKey and poolKey have made a key of: the entries, without those
// that a pool or a rule does not tell apart. limit is the one that the key was found at,
// nil if there is none any more: it knows what a pool is split by. It is nil for a key
// that is not one of a bucket's.
func ReadKey(key string, limit *Limit) []KeyEntry {
	r := keyReader{rest: key}
	tag := strings.IndexByte(key, '}')
	if tag < 0 {
		return nil
	}
	r.rest = key[tag+1:]
	for _, mark := range []byte{'!', poolMark} {
		if hash, ok := r.hash(mark); ok {
			return []KeyEntry{{Entry{"(all entries)", hash}, true}}
		}
	}
	if r.item(); r.bad { // the domain
		return nil
	}
	entries := []KeyEntry{}
	if r.next(poolMark) {
		r.take(1)
		r.item()
		entries = r.split(limit)
	} else {
		for r.next(',') {
			name, _ := r.item()
			r.take(1)
			value, hidden := r.item()
			entries = append(entries, KeyEntry{Entry{name, value}, hidden})
		}
	}
	if r.bad {
		return nil
	}
	return entries
}

// keyReader reads a key from its front.
type keyReader struct {
	rest string
	bad  bool // it does not read like a key
}

// take is the next n bytes.
func (r *keyReader) take(n int) string {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, ""
		return ""
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return text
}

// next takes a mark if it comes next.
func (r *keyReader) next(mark byte) bool {
	if r.rest == "" || r.rest[0] != mark {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// longHash is the length of a hash of what was too long, in letters.
const longHash = 43

// hash takes a mark and the hash of something too long, if they come next, and tells
// the beginning of it.
func (r *keyReader) hash(mark byte) (short string, ok bool) {
	if len(r.rest) < 1+longHash || r.rest[0] != mark {
		return "", false
	}
	return "sha256:" + r.take(1 + longHash)[1:12], true
}

// item takes a key or a value: what appendItem has written, or a hidden value.
func (r *keyReader) item() (text string, hidden bool) {
	if hash, ok := r.hash('#'); ok {
		return hash, true
	}
	if r.next(hashMark) {
		return "hmac:" + (r.take(2*hashKept) + strings.Repeat("?", 2*hashShown))[:2*hashShown], true
	}
	digits, _, found := strings.Cut(r.rest, ":")
	n, err := strconv.Atoi(digits)
	if !found || err != nil {
		r.bad, r.rest = true, ""
		return "", false
	}
	r.take(len(digits) + 1)
	return r.take(n), false
}

// split takes the values that a pool is split by. One that a request did not have is
// left out.
func (r *keyReader) split(limit *Limit) []KeyEntry {
	entries := []KeyEntry{}
	for n := 0; r.next(','); n++ {
		name := "(split " + strconv.Itoa(n+1) + ")"
		if limit != nil && limit.share != nil && n < len(limit.share.pool.splitBy) {
			name = limit.share.pool.splitBy[n]
		}
		if r.next('=') {
			value, hidden := r.item()
			entries = append(entries, KeyEntry{Entry{name, value}, hidden})
		} else if !r.next('-') {
			r.bad = true
		}
	}
	return entries
}
