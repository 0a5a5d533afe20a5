package descriptors

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

const (
	// maxLiteral is the longest key or value that stands in a bucket's key as it
	// is; a longer one is hashed.
	maxLiteral = 256
	// maxKey bounds a bucket's key, without its hash tag and the limit's id. A
	// descriptor may have any number of entries, and a client may choose values
	// that fill the store's memory with keys.
	maxKey = 512
)

// A bucket's key is
//
//	{tag}domain,key=value,key~value/id
//
// whose tag decides its hash slot in a Redis Cluster: the domain, and with hash_tag:
// entity a comma and eight hexadecimal digits that the first entry decides. It is
// of the entries that the rule consumed, in which domain, key and value are each written as length:bytes, or as # and
// 43 letters of a SHA-256 if they are longer than maxLiteral, a value as $ and 32
// digits if the domain hides it, see [keyHash], and everything
// between the tag and the id as ! and 43 letters if it is longer than maxKey.
// Lengths make the key unambiguous whatever the values hold, and as no length
// begins with #, $ or !, a value that looks like a hash is not taken for one. The
// id is the last part and may hold any bytes. A value that met a pattern or a
// network has ~ before it: one rule's buckets never become those of a rule that
// states the value itself, and text that stands for several values could not be
// sent by a client. The key does not carry the rate:
// a changed rate carries the tokens used.

// keyHead is the part of a domain's keys that all of them begin with, but for what an
// entity writes over, and the length of its tag.
func keyHead(prefix, domain string, byEntity bool) (head []byte, tag int) {
	if prefix != "" {
		head = appendTag(head, prefix)
	}
	head = append(head, '{')
	head = appendTag(head, domain)
	if byEntity {
		head = append(head, ",00000000"...)
	}
	head = append(head, '}')
	return appendItem(head, domain), len(head)
}

// tagEntity writes into the tag of a key that begins with d.head whose the bucket is,
// if the domain's hash_tag says so: an entry's, or the pool's of a name and no value.
// Entities that happen to have the same digits share a slot and nothing else.
func (d *domain) tagEntity(key []byte, name, value string) {
	if d.byEntity {
		d.writeTag(key, fnvEntry(fnvOffset, name, value))
	}
}

// tagWay is tagEntity for what a rule consumed.
func (d *domain) tagWay(key []byte, way []step) {
	if !d.byEntity || len(way) == 0 {
		return
	}
	if !d.spread {
		way = way[:1]
	}
	sum := fnvOffset
	for i := range way {
		sum = fnvEntry(sum, way[i].key, way[i].value)
	}
	d.writeTag(key, sum)
}

func (d *domain) writeTag(key []byte, sum uint32) {
	const hex = "0123456789abcdef"
	for i := range 8 {
		key[d.tag-2-i] = hex[sum>>(4*i)&15]
	}
}

// FNV-1a of 32 bits, which takes a key as it comes. hash/fnv wants it on the heap.
const (
	fnvOffset uint32 = 2166136261
	fnvPrime  uint32 = 16777619
)

func fnvEntry(sum uint32, name, value string) uint32 {
	return fnv1a(fnv1a(fnv1a(sum, name), "\x00"), value)
}

func fnv1a(sum uint32, s string) uint32 {
	for i := range len(s) {
		sum = (sum ^ uint32(s[i])) * fnvPrime
	}
	return sum
}

// appendTag appends a domain so that it can stand between the braces that
// decide a key's hash slot: never empty, without braces, bounded.
func appendTag(b []byte, domain string) []byte {
	const plain, hex = "-._~/:", "0123456789ABCDEF"
	if domain == "" || len(domain) > maxLiteral {
		return appendHash(append(b, '#'), domain)
	}
	for i := range len(domain) {
		c := domain[i]
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte(plain, c) >= 0 {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// bucketKey is the key of the bucket that what a rule consumed of a descriptor
// has at the limit with an id. Values that are to be hashed are so in way then.
func (d *domain) bucketKey(way []step, id string) string {
	if d.hash != nil {
		d.hash.conceal(way)
	}
	var space [512]byte
	b := append(space[:0], d.head...)
	d.tagWay(b, way)
	for i := range way {
		b = appendItem(append(b, ','), way[i].key)
		if b = append(b, way[i].sign); way[i].hashed {
			b = append(append(b, hashMark), way[i].value...)
		} else {
			b = appendItem(b, way[i].value)
		}
	}
	if len(b)-d.tag > maxKey {
		body := string(b[d.tag:])
		b = appendHash(append(b[:d.tag], '!'), body)
	}
	return string(append(append(b, '/'), id...))
}

// appendItem appends s with its length, or its hash if it is long.
func appendItem(b []byte, s string) []byte {
	if len(s) > maxLiteral {
		return appendHash(append(b, '#'), s)
	}
	b = strconv.AppendInt(b, int64(len(s)), 10)
	return append(append(b, ':'), s...)
}

func appendHash(b []byte, s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.AppendEncode(b, sum[:])
}

// marks begin the ids of named limits, by algorithm, so that a limit that becomes
// of another algorithm meets no value of the former.
var marks = map[string]string{tokenBucket: "n:", fixedWindow: "f:", slidingWindow: "s:", concurrency: "c:", breaker: "b:"}

// limitID is the id of a rule's limit in bucket keys: its name, else its
// algorithm, told apart so that a limit may be named after an algorithm. Never
// its index: reordering limits must not swap buckets.
func limitID(name, algorithm string) string {
	if name != "" {
		return marks[algorithm] + name
	}
	return unnamed[algorithm]
}

// id is the limit's in bucket keys.
func (s *limitSpec) id() string {
	if s.limit.Reference {
		return referenceID(s.limit.Unit, 1)
	}
	return limitID(s.name, s.algorithm)
}

// unnamed are the ids of limits without a name, the same text for all.
var unnamed = func() map[string]string {
	ids := map[string]string{draw: "a:" + draw}
	for algorithm := range marks {
		ids[algorithm] = "a:" + algorithm
	}
	return ids
}()

// overrideID is the id of a limit that came with a request. Its period tells
// which algorithm it is of.
func overrideID(o *Override, algorithm string) string {
	b := append(make([]byte, 0, 32), "o:"...)
	if algorithm == fixedWindow {
		b = append(b[:0], "w:"...)
	}
	b = strconv.AppendUint(b, uint64(o.Requests), 10)
	b = strconv.AppendUint(append(b, '/'), uint64(max(o.Multiplier, 1)), 10)
	return string(strconv.AppendUint(append(b, '*'), uint64(o.Unit), 10))
}
