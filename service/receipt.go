package service

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"
)

// A receipt says what an admitted request took that its end decides over: slots
// to give back, tokens to give back unless it succeeds, breakers to tell. Envoy
// carries it as dynamic metadata and sends it back when the stream ends, to any
// replica. It holds all that is needed and is signed, so nothing is remembered in
// between.
type receipt struct {
	id      [16]byte // random; leases are named by it, and it is redeemed once by it
	expires time.Time
	items   []item
	needed  bool // the end of the request may matter
}

// item is one bucket of a receipt.
type item struct {
	limit         string // descriptors.Limit.ID: what the rules say of it at the end holds
	key, classKey string
	cost          int64
	at            int64 // when it was charged, on the store's clock
	charge        byte  // of the request, in order: with the id, the lease
	slots         bool  // it holds slots, which are given back even if the rules know the limit no more
}

// lease names what charge i of the request holds.
func (r *receipt) lease(i byte) string { return string(append(r.id[:], i)) }

const (
	receiptVersion = 1
	macSize        = 16 // of HMAC-SHA256, cut: 128 bits are beyond guessing
	maxReceipt     = 64 << 10
)

// Keys sign receipts, with the one that was set last, and accept those that were
// signed with any of them.
type Keys struct{ keys atomic.Pointer[[][]byte] }

// NewKeys returns keys that begin with one. A key should have 32 random bytes.
func NewKeys(key []byte) *Keys {
	k := &Keys{}
	k.keys.Store(&[][]byte{key})
	return k
}

// Use signs with key from now on. Receipts that the key before it signed are
// still good; older ones are not.
func (k *Keys) Use(key []byte) {
	before := *k.keys.Load()
	k.keys.Store(&[][]byte{key, before[0]})
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)[:macSize]
}

// seal is the receipt as text.
func (k *Keys) seal(r *receipt) string {
	b := append(make([]byte, 0, 256), receiptVersion)
	b = append(b, r.id[:]...)
	b = binary.AppendUvarint(b, uint64(r.expires.Unix()))
	for _, it := range r.items {
		for _, s := range [...]string{it.limit, it.key, it.classKey} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
		b = binary.AppendUvarint(b, uint64(it.cost))
		b = binary.AppendUvarint(b, uint64(it.at))
		b = append(b, it.charge, flag(it.slots))
	}
	b = append(b, mac((*k.keys.Load())[0], b)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

var (
	errForged  = errors.New("the receipt is not signed by this fleet")
	errExpired = errors.New("the receipt has expired")
)

// open reads a receipt that was sealed with one of the keys.
func (k *Keys) open(text string, now time.Time) (*receipt, error) {
	if len(text) > maxReceipt {
		return nil, errForged
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < macSize {
		return nil, errForged
	}
	message, signed := b[:len(b)-macSize], false
	for _, key := range *k.keys.Load() {
		signed = signed || hmac.Equal(mac(key, message), b[len(message):])
	}
	if !signed {
		return nil, errForged
	}
	r, err := decodeReceipt(message)
	if err == nil && now.After(r.expires) {
		err = errExpired
	}
	return r, err
}

// decodeReceipt reads what seal wrote. A signed message of another version comes
// from a newer replica; what it meant is not known here.
func decodeReceipt(b []byte) (*receipt, error) {
	d := decoder{rest: b}
	if version := d.bytes(1); d.bad || version[0] != receiptVersion {
		return nil, errForged
	}
	r := &receipt{}
	copy(r.id[:], d.bytes(len(r.id)))
	r.expires = time.Unix(d.number(), 0)
	for len(d.rest) > 0 && !d.bad {
		it := item{limit: d.text(), key: d.text(), classKey: d.text(), cost: d.number(), at: d.number()}
		if last := d.bytes(2); !d.bad {
			it.charge, it.slots = last[0], last[1] == 1
			r.items = append(r.items, it)
		}
	}
	if d.bad {
		return nil, errForged
	}
	return r, nil
}

// decoder takes pieces off the front; once one is missing it is bad and yields
// nothing more.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) bytes(n int) []byte {
	if d.bad || n < 0 || n > len(d.rest) {
		d.bad = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) number() int64 {
	n, size := binary.Uvarint(d.rest)
	if d.bad || size <= 0 || n > 1<<62 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[size:]
	return int64(n)
}

func (d *decoder) text() string { return string(d.bytes(int(d.number()))) }
