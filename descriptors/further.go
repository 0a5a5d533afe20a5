package descriptors

import "github.com/weir-rls/weir/buckets"

// Keys of weir's own, passive in every domain. A descriptor with an entry endKey
// tells at the end of a stream what it has used; one with ReceiptKey redeems a
// receipt.
const (
	endKey     = "weir.end"
	ReceiptKey = "weir.receipt"
)

func isReserved(key string) bool { return key == endKey || key == ReceiptKey }

// further reads what a rule limits beside rate_limit and limits: its draw and its
// breaker.
func (w *walker) further(fields map[string]field, r *rule) {
	if f, ok := fields[draw]; ok {
		if s := w.draw(f); s != nil {
			r.limits = append(r.limits, s)
		}
	}
	if f, ok := fields[breaker]; ok {
		if s := w.breaker(f); s != nil {
			r.limits = append(r.limits, s)
		}
	}
	if several, ok := fields["limits"]; ok && len(several.value.Content) <= buckets.MaxCharges && len(r.limits) > buckets.MaxCharges {
		w.fail(several.value, "", "%d limits on one descriptor with draw and breaker, more than %d", len(r.limits), buckets.MaxCharges)
	}
}

// takes tells whether a limit is charged by what is done in mode. What is held
// while a request lasts is given back by its lease and has no cost afterwards.
func (l *Limit) takes(mode buckets.Mode) bool {
	switch l.Bucket.(type) {
	case buckets.Slots, buckets.Breaker:
		return mode == buckets.Take || mode == buckets.Look
	}
	return true
}
