package service

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// longestStream is how long after a request its end still counts for what it took:
// the most that a receipt of no slots can be redeemed. Each failure that is
// redeemed leaves a mark for as long, so that it is not redeemed twice: 1,000
// failures a second are 600,000 marks of some 150 bytes.
const longestStream = 10 * time.Minute

// endMatters tells that somebody wants to know how the stream ends: what a charge
// takes depends on it, or the size of the pool that it draws from.
func endMatters(m *descriptors.Match) bool {
	if decidesLater(m) {
		return true
	}
	_, follows := m.Limit.Feedback()
	return follows && m.Charge.Mode == buckets.Take
}

// decidesLater tells that a stream's end decides over what a charge takes.
func decidesLater(m *descriptors.Match) bool {
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
	life := min(m.Reset, longestStream)
	switch b := m.Charge.Bucket.(type) {
	case buckets.Slots:
		life = time.Duration(b.TTL) * time.Microsecond
	case buckets.Breaker:
		life = longestStream
	}
	if _, follows := m.Limit.Feedback(); follows {
		life = max(life, longestStream)
	}
	return life
}

// fill writes into r what the end of a request that passed decides over, and
// tells whether there is anything.
func (r *receipt) fill(v *verdict, now time.Time) bool {
	for i := range v.met {
		m := &v.met[i]
		if v.over || !m.Admitted || m.Blind || !endMatters(m.Match) {
			continue
		}
		_, slots := m.Charge.Bucket.(buckets.Slots)
		if m.Alone && !slots {
			continue // taken here and not in the store, which is to be asked at the end
		}
		r.items = append(r.items, item{
			limit: m.Limit.ID(), key: m.Charge.Key, classKey: m.Charge.ClassKey, cost: m.Charge.Cost, at: m.Now,
			charge: byte(i), slots: slots,
		})
		if ends := now.Add(m.life() + time.Second); ends.After(r.expires) {
			r.expires = ends
		}
	}
	return len(r.items) > 0
}

// newReceipt has a random id if a stream's end may matter to one of the limits
// that were met.
func newReceipt(matches []descriptors.Match) (r receipt) {
	for i := range matches {
		if endMatters(&matches[i]) {
			_, _ = rand.Read(r.id[:]) // it never fails
			r.needed = true
			return r
		}
	}
	return r
}

// maxCharges is how many charges a request may have. One whose end matters leaves
// room for the gate of its receipt.
func maxCharges(r receipt) int {
	if r.needed {
		return buckets.MaxCharges - 1
	}
	return buckets.MaxCharges
}

// nameLeases gives every charge that the end of the stream decides over a lease of
// its own, by which it is also known if nobody waits for the store's answer.
func nameLeases(r *receipt, matches []descriptors.Match) {
	if !r.needed {
		return
	}
	for i := range matches {
		if decidesLater(&matches[i]) {
			matches[i].Charge.Lease = r.lease(byte(i))
		}
	}
}

// redeemAll redeems the receipts among a request's descriptors, by which Envoy
// tells that a stream has ended. The hits of such a descriptor are the response's
// status, 0 where the client left before there was one. No rule judges it.
func (s *Service) redeemAll(ctx context.Context, rules *descriptors.Rules, request *descriptors.Request) {
	for i := range request.Descriptors {
		d := &request.Descriptors[i]
		for _, entry := range d.Entries {
			if entry.Key == descriptors.ReceiptKey {
				s.options.Observe.Receipt(s.redeem(ctx, rules, entry.Value, end{status: d.Hits, known: d.HasHits}))
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

// redeem does what a receipt says of a stream that has ended. Whatever is wrong
// with it changes nothing: nobody is there to read an error. A failure is told
// once to pools that follow failures, as it is to breakers; a success that is told
// twice does little harm, and costs the store nothing.
func (s *Service) redeem(ctx context.Context, rules *descriptors.Rules, text string, e end) Receipt {
	r, err := s.options.Keys.open(text, s.options.Now())
	switch {
	case errors.Is(err, errExpired):
		return ReceiptExpired
	case err != nil:
		return ReceiptForged
	}
	always, once := ends(rules, r, e)
	if !s.apply(ctx, rules, always) {
		return ReceiptFailed
	}
	pools := poolsOf(rules, r)
	if len(once) > 0 || len(pools) > 0 && e.unsuccessful() {
		charges := append([]buckets.Charge{gate(r, s.options.Now())}, once...)
		outcomes, _, err := s.options.Room.Take(ctx, charges, waiting.Wait{})
		switch {
		case err != nil || outcomes[0].Alone:
			return ReceiptFailed
		case !outcomes[0].Admitted:
			return ReceiptRepeated
		}
		s.observeBreakers(rules, charges, outcomes)
	}
	for _, p := range pools {
		if e.known {
			s.options.Observe.Ended(p.Domain, p.Name, int(min(e.status, maxStatus)))
		}
	}
	return ReceiptRedeemed
}

// maxStatus is more than any status of HTTP. The hits of a receipt can be any
// number.
const maxStatus = 1000

// poolsOf are the pools that a request drew from and that follow failures, each
// once.
func poolsOf(rules *descriptors.Rules, r *receipt) (pools []descriptors.PoolID) {
	for i := range r.items {
		limit, known := rules.LimitByID(r.items[i].limit)
		if !known {
			continue
		}
		if name, follows := limit.Feedback(); follows {
			if id := (descriptors.PoolID{Domain: limit.Domain, Name: name}); !slices.Contains(pools, id) {
				pools = append(pools, id)
			}
		}
	}
	return pools
}

// apply makes charges that may be made twice, and wakes who waits for what they
// give back.
func (s *Service) apply(ctx context.Context, rules *descriptors.Rules, charges []buckets.Charge) bool {
	if len(charges) == 0 {
		return true
	}
	outcomes, _, err := s.options.Room.Take(ctx, charges, waiting.Wait{})
	for i := range charges {
		s.options.Room.Released(charges[i].Key)
	}
	if err != nil || outcomes[0].Alone || outcomes[0].Blind {
		return false
	}
	s.observeBreakers(rules, charges, outcomes)
	return true
}

// ends are the charges of a stream's end: those that may be made again and again,
// and those that must be made once. To give back slots, or a probe, does nothing
// the second time; a success that is told to a breaker twice at most ends a run of
// failures once more, and to mark every success would cost far more than that is
// worth.
func ends(rules *descriptors.Rules, r *receipt, e end) (always, once []buckets.Charge) {
	for _, it := range r.items {
		limit, known := rules.LimitByID(it.limit)
		var c buckets.Charge
		switch {
		case known:
			c = limit.ChargeOn(it.key, it.classKey)
		case it.slots:
			c = slotsOf(&it)
		default:
			continue // the rules know it no more, and nobody is judged by its buckets
		}
		c.Mode, c.Cost, c.Lease, c.At = buckets.Refund, it.cost, r.lease(it.charge), it.at
		switch c.Bucket.(type) {
		case buckets.Slots:
		case buckets.Breaker:
			if e.status > 0 { // else the client left, and the service has neither succeeded nor failed
				c.Mode, c.Cost = buckets.Settle, 0
			}
			if e.status >= http.StatusInternalServerError {
				c.Cost = 1
				once = append(once, c)
				continue
			}
		default:
			if e.unsuccessful() && limit.CountSuccess {
				once = append(once, c)
			}
			continue
		}
		always = append(always, c)
	}
	return always, once
}

// slotsOf gives back slots of a limit that the rules know no more: a class that
// was removed from a pool holds them until then. How many slots there are and for
// how long one is held does not matter to that.
func slotsOf(it *item) buckets.Charge {
	slots := buckets.Slots{Count: 1, TTL: 1}
	c := buckets.Charge{Key: it.key, Limit: it.limit, Bucket: slots, ClassKey: it.classKey}
	if it.classKey != "" {
		c.Class = &buckets.Class{Guarantee: slots}
	}
	return c
}

// gate lets a receipt pass once: it is a bucket of one token, which comes back
// when the receipt has expired.
func gate(r *receipt, now time.Time) buckets.Charge {
	key := r.items[0].key
	tag := key[:strings.IndexByte(key, '}')+1] // the hash slot of the first of what it guards
	left := (r.expires.Sub(now) + time.Minute).Truncate(time.Second)
	once, err := buckets.NewTokenBucket(1, left, 1)
	if err != nil { // every whole number of seconds has one
		once = buckets.TokenBucket{}
	}
	return buckets.Charge{
		Key: tag + "receipt/" + base64.RawURLEncoding.EncodeToString(r.id[:]), Limit: "receipts",
		Bucket: once, Cost: 1, Role: buckets.Gate,
	}
}
