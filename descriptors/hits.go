package descriptors

import (
	"math"
	"math/bits"
	"slices"

	"github.com/weir-rls/weir/buckets"
)

// hits is how many hits descriptor i counts for and what they do: its own, 0
// included, which is a look that is judged as one hit; else the request's; else
// one. Negative hits are given back. Those of an end are settled, 0 of them at no
// cost.
func (d *domain) hits(req *Request, i int) (hits uint64, mode buckets.Mode) {
	desc := &req.Descriptors[i]
	hits = max(req.Hits, 1)
	if desc.HasHits {
		hits = desc.Hits
	}
	ended := false
	if d.dialect == Weir {
		_, ended = lookup(desc.Entries, endKey)
	}
	switch {
	case desc.Negative:
		return hits, buckets.Refund
	case ended:
		return hits, buckets.Settle
	case hits == 0:
		return 1, buckets.Look
	}
	return hits, buckets.Take
}

// settles tells that what the descriptor does is owed, whatever is asked beside it:
// it gives back, tells what was used, or redeems a receipt.
func (desc *Descriptor) settles() bool {
	_, redeems := lookup(desc.Entries, ReceiptKey)
	_, ended := lookup(desc.Entries, endKey)
	return desc.Negative || redeems || ended
}

// Settles tells that one of the request's descriptors gives back, settles or redeems
// a receipt.
func (req *Request) Settles() bool {
	return slices.ContainsFunc(req.Descriptors, func(d Descriptor) bool { return d.settles() })
}

// Asks tells that one of the request's descriptors asks to pass.
func (req *Request) Asks() bool {
	return slices.ContainsFunc(req.Descriptors, func(d Descriptor) bool { return !d.settles() })
}

// cost is weight x hits, or the largest number where that overflows: a client
// may send any hits.
func cost(weight int64, hits uint64) int64 {
	high, low := bits.Mul64(uint64(weight), hits)
	if high > 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(low)
}

// weight is what one hit of descriptor i costs.
func (d *domain) weight(w Weight, req *Request, i int) int64 {
	if w.By == "" {
		return w.Default
	}
	value, found := req.value(i, w.By)
	if n, listed := w.Values[value]; found && listed {
		return n
	}
	return w.Default
}

// value is that of an entry which may stand anywhere in the request: it is looked
// for in the entries that descriptor i's rule consumed, then in the passive ones
// beside them, then in the other descriptors. The first that is found decides, so
// that an entry a client can add further on never outweighs it.
func (req *Request) value(i int, key string) (value string, found bool) {
	value, found = lookup(req.Descriptors[i].Entries, key)
	for j := 0; !found && j < len(req.Descriptors); j++ {
		value, found = lookup(req.Descriptors[j].Entries, key)
	}
	return value, found
}

// requestIDKey is the passive entry whose value a response can repeat.
const requestIDKey = "request_id"

// lookup is the value of the first entry with a key. A key is passive in the
// whole domain or not at all, so own and passive entries need no telling apart.
func lookup(entries []Entry, key string) (value string, found bool) {
	for i := range entries {
		if entries[i].Key == key {
			return entries[i].Value, true
		}
	}
	return "", false
}
