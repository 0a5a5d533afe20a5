package service

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// receiptKey is the entry by which Envoy sends a receipt back when a stream has
// ended. The hits of its descriptor are the response's status, 0 where the client
// left before there was one.
const receiptKey = "weir.receipt"

// How long a receipt can be redeemed: as long as its end can still change
// something, but a window's no longer than a day, and a breaker's an hour.
const (
	longestWindow  = 24 * time.Hour
	longestBreaker = time.Hour
)

// endMatters tells that a stream's end decides over what a charge takes.
func endMatters(m *descriptors.Match) bool {
	if m.Limit.Unlimited || m.Charge.Mode != buckets.Take {
		return false
	}
	switch m.Charge.Bucket.(type) {
	case buckets.Slots, buckets.Breaker:
		return true
	}
	return m.Limit.CountSuccess
}

// life is how long the end of the stream is of interest to a limit.
func (m *met) life() time.Duration {
	switch b := m.Charge.Bucket.(type) {
	case buckets.Slots:
		return time.Duration(b.TTL) * time.Microsecond
	case buckets.Breaker:
		return longestBreaker
	}
	return min(m.Reset, longestWindow)
}

// fill writes into r what the end of a request that passed decides over, and
// tells whether there is anything.
func (r *receipt) fill(v *verdict, now time.Time) bool {
	for i := range v.met {
		m := &v.met[i]
		if v.over || !m.Admitted || m.Blind || !endMatters(&m.Match) {
			continue
		}
		r.items = append(r.items, item{
			limit: m.Limit.ID(), key: m.Charge.Key, classKey: m.Charge.ClassKey, cost: m.Charge.Cost, at: m.Now, charge: byte(i),
		})
		if ends := now.Add(m.life() + time.Second); ends.After(r.expires) {
			r.expires = ends
		}
	}
	return len(r.items) > 0
}

// newReceipt has a random id if a stream's end may matter to one of the limits
// that were met.
func newReceipt(matches []descriptors.Match) *receipt {
	r := &receipt{}
	for i := range matches {
		if endMatters(&matches[i]) {
			_, _ = rand.Read(r.id[:]) // it never fails
			return r
		}
	}
	return r
}

// nameLeases gives every charge that holds something a lease of its own.
func nameLeases(r *receipt, matches []descriptors.Match) {
	for i := range matches {
		switch matches[i].Charge.Bucket.(type) {
		case buckets.Slots, buckets.Breaker:
			matches[i].Charge.Lease = r.lease(byte(i))
		}
	}
}

// redeemAll redeems the receipts among a request's descriptors. Their entry is
// passive in every domain, so no rule judges them.
func (s *Service) redeemAll(ctx context.Context, rules *descriptors.Rules, request *descriptors.Request) {
	for i := range request.Descriptors {
		d := &request.Descriptors[i]
		for _, entry := range d.Entries {
			if entry.Key == receiptKey {
				s.redeem(ctx, rules, entry.Value, end{status: d.Hits, known: d.HasHits})
			}
		}
	}
}

// end is how a stream ended. Its status is unknown where Envoy is not set up to
// send it as hits_addend; then only what was held is given back.
type end struct {
	status uint64
	known  bool
}

func (e end) unsuccessful() bool {
	return e.known && (e.status >= http.StatusBadRequest || e.status == 0)
}

// redeem does what a receipt says of a stream that has ended. Whatever is
// wrong with it is counted and changes nothing: nobody is there to read an error.
func (s *Service) redeem(ctx context.Context, rules *descriptors.Rules, text string, e end) {
	r, err := s.options.Keys.open(text, s.options.Now())
	switch {
	case errors.Is(err, errExpired):
		s.options.Observe.Receipt(ReceiptExpired)
		return
	case err != nil:
		s.options.Observe.Receipt(ReceiptForged)
		return
	}
	charges, once := s.ends(rules, r, e)
	if len(charges) == 0 {
		s.options.Observe.Receipt(ReceiptRedeemed)
		return
	}
	if once {
		charges = append([]buckets.Charge{gate(r, s.options.Now())}, charges...)
	}
	outcomes, _, err := s.options.Room.Take(ctx, charges, waiting.Wait{})
	switch {
	case err != nil:
		s.options.Observe.Receipt(ReceiptFailed)
		return
	case once && !outcomes[0].Admitted:
		s.options.Observe.Receipt(ReceiptRepeated)
		return
	}
	s.options.Observe.Receipt(ReceiptRedeemed)
	for _, c := range charges {
		if c.Mode == buckets.Refund {
			s.options.Room.Released(c.Key)
		}
	}
}

// ends are the charges of a stream's end, and whether they must not be made
// twice. To give back slots, or a probe, does nothing the second time; a success
// that is told to a breaker twice at most ends a run of failures once more, and
// to remember every success for an hour would cost far more than that is worth.
func (s *Service) ends(rules *descriptors.Rules, r *receipt, e end) (charges []buckets.Charge, once bool) {
	for _, it := range r.items {
		limit, found := rules.LimitByID(it.limit)
		if !found {
			continue // gone from the rules, and its buckets with it
		}
		c := buckets.Charge{
			Key: it.key, Limit: it.limit, Bucket: limit.Bucket, Class: limit.Class, ClassKey: it.classKey,
			Cost: it.cost, Mode: buckets.Refund, Lease: r.lease(it.charge), At: it.at, OnStoreError: limit.OnStoreError,
		}
		switch limit.Bucket.(type) {
		case buckets.Slots:
		case buckets.Breaker:
			if e.status > 0 { // else the client left, and the service has neither succeeded nor failed
				c.Mode, c.Cost = buckets.Settle, 0
			}
			if e.status >= http.StatusInternalServerError {
				c.Cost, once = 1, true
			}
		default:
			if !e.unsuccessful() || !limit.CountSuccess {
				continue
			}
			once = true
		}
		charges = append(charges, c)
	}
	return charges, once
}

// gate lets a receipt pass once. It is one slot that is held until the receipt
// has expired, under a lease of each attempt's own.
func gate(r *receipt, now time.Time) buckets.Charge {
	key := r.items[0].key
	tag := key[:strings.IndexByte(key, '}')+1] // the same hash slot as what it guards
	left := r.expires.Sub(now) + time.Minute
	return buckets.Charge{
		Key: tag + "receipt/" + base64.RawURLEncoding.EncodeToString(r.id[:]), Limit: "receipts",
		Bucket: buckets.Slots{Count: 1, TTL: left.Microseconds()}, Cost: 1, Role: buckets.Gate, Lease: rand.Text(),
	}
}
