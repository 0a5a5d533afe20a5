package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// callsPerHistory keeps a history short enough to read when it fails.
const callsPerHistory = 50

// kind is what the buckets of a history are.
type kind string

const (
	tokenBuckets   kind = "token bucket"
	fixedWindows   kind = "fixed window"
	slidingWindows kind = "sliding window"
	slots          kind = "concurrency"
	breakers       kind = "breaker"
	tokenPools     kind = "pool of tokens"
	slotPools      kind = "pool of slots"
	mixed          kind = "mixed"
)

var singles = []kind{tokenBuckets, fixedWindows, slidingWindows, slots, breakers, tokenPools, slotPools}

// subject is one bucket, or one pool with its classes, that a history asks.
type subject struct {
	kind
	key     string
	rule    rule
	classes []*class
	first   bool // a bucket never seen lacks tokens

	taken []int64       // when something was taken
	place buckets.Place // the last reservation
	cost  int64         // of it
}

func (s *subject) classKey(i int) string { return fmt.Sprintf("%s class %d", s.key, i) }

// rules are the rules behind every key of the subject.
func (s *subject) rules() map[string]rule {
	all := map[string]rule{s.key: s.rule}
	for i, c := range s.classes {
		all[s.classKey(i)] = c.guarantee
	}
	return all
}

// history draws the operations of one random history. The same number gives the
// same history, on every machine.
type history struct {
	*rand.Rand
	kind     kind
	number   int
	subjects []*subject
	told     []int64 // delays and resets of the last call, in microseconds
}

func newHistory(k kind, number int) *history {
	seed := uint64(0)
	for _, r := range k {
		seed = 31*seed + uint64(r)
	}
	h := &history{Rand: rand.New(rand.NewPCG(uint64(number), seed)), kind: k, number: number}
	for i := range 1 + h.IntN(4) {
		s := &subject{kind: k, key: fmt.Sprintf("{%s %d}%d", k, number, i), first: h.IntN(5) == 0}
		if k == mixed {
			s.kind = pick(h, singles...)
		}
		h.subjects = append(h.subjects, s)
		h.drawRule(s, 1+h.IntN(3))
	}
	return h
}

// drawRule gives a subject a rule of its kind.
func (h *history) drawRule(s *subject, classes int) {
	switch s.kind {
	case tokenBuckets:
		s.rule = h.anyTokenRule(s.first)
	case fixedWindows:
		s.rule = h.anyFixedRule()
	case slidingWindows:
		s.rule = h.anySlidingRule()
	case slots:
		s.rule = h.anySlotRule()
	case breakers:
		s.rule = h.anyBreakerRule()
	case tokenPools:
		s.rule, s.classes = h.anyTokenPool(classes)
	case slotPools:
		s.rule, s.classes = h.anySlotPool(classes)
	}
}

// nextCharges draws a request; a bucket may come twice.
func (h *history) nextCharges(m *model, now int64) []charge {
	var cs []charge
	for _, s := range []*subject{h.maybeReload(), h.reloadInTrial(m)} {
		if s != nil {
			cs = append(cs, h.anyCharge(s, m, now))
		}
	}
	for range pick(h, 1, 1, 2, 2, 3, 4, 6) {
		cs = append(cs, h.anyCharge(pick(h, h.subjects...), m, now))
	}
	return cs
}

func (h *history) anyCharge(s *subject, m *model, now int64) charge {
	c := charge{s.rule, nil, buckets.Charge{
		Key: s.key, Limit: "limit", Bucket: s.rule.product(),
		Role: pick(h, buckets.Enforce, buckets.Enforce, buckets.Enforce, buckets.Enforce, buckets.Enforce, buckets.Shadow, buckets.Quota),
	}}
	if h.IntN(40) == 0 {
		c.Role = buckets.Gate
	}
	if len(s.classes) > 0 {
		i := h.IntN(len(s.classes))
		c.class, c.Class, c.ClassKey = s.classes[i], &s.classes[i].product, s.classKey(i)
	}
	c.Mode = h.anyMode(s)
	c.Cost = h.anyCost(m, &c, now)
	switch s.kind {
	case slots, slotPools, breakers:
		c.Lease = h.anyLease()
	}
	if s.kind == breakers {
		c.Cost = pick(h, int64(1), 1, 1, 1, 1, 0, 2)
	}
	if (c.Mode == buckets.Refund || c.Mode == buckets.Settle) && len(s.taken) > 0 && h.IntN(2) == 0 {
		c.At = pick(h, s.taken...)
	}
	if s.kind == breakers && h.IntN(20) == 0 {
		c.At = now - untold - 1 + h.Int64N(3)
	}
	if r, ok := s.rule.(tokenRule); ok && s.classes == nil && r.bucket.Ahead > 0 && h.IntN(2) == 0 {
		c.MayOwe = pick(h, r.bucket.Ahead, 1+h.Int64N(r.bucket.Ahead))
	}
	if c.Mode == buckets.Cancel {
		c.Place, c.Cost = s.place, s.cost
		if h.IntN(8) == 0 {
			c.Place.Part++
		}
	}
	return c
}

func (h *history) anyMode(s *subject) buckets.Mode {
	const take, look, refund, settle = buckets.Take, buckets.Look, buckets.Refund, buckets.Settle
	switch s.kind {
	case breakers:
		return pick(h, take, take, take, settle, settle, settle, settle, look, refund)
	case slots, slotPools:
		return pick(h, take, take, take, take, take, take, refund, refund, look, settle)
	case tokenBuckets:
		if s.place != (buckets.Place{}) && h.IntN(8) == 0 {
			return buckets.Cancel
		}
	}
	return pick(h, take, take, take, take, take, take, take, look, refund, settle)
}

// anyLease is one of few, so that it is met again, and now and then as long as one
// may be.
func (h *history) anyLease() string {
	id := string(rune('a' + h.IntN(8)))
	if id == "h" {
		return strings.Repeat("h", 64)
	}
	return id
}

// anyCost prefers what is just there and just not there.
func (h *history) anyCost(m *model, c *charge, now int64) int64 {
	left := h.left(m, c.Key, c.rule, now)
	capacity := floor(c.rule.capacity()).Int64()
	if c.class != nil && h.IntN(2) == 0 {
		left = h.left(m, c.ClassKey, c.class.guarantee, now)
	}
	switch h.IntN(12) {
	case 0:
		return left
	case 1:
		return left + 1
	case 2:
		return max(0, left-h.Int64N(3))
	case 3:
		return capacity
	case 4:
		return capacity + 1
	case 5:
		return pick(h, int64(math.MaxInt32), math.MaxInt64, math.MaxInt64-1, 1<<53)
	case 6:
		return h.Int64N(capacity + 1)
	case 7:
		return h.Int64N(capacity/3 + 1)
	default:
		return h.Int64N(4)
	}
}

// left is how many whole tokens a bucket has.
func (h *history) left(m *model, key string, r rule, now int64) int64 {
	is, _ := m.recall(key, r, now)
	return max(0, floor(sub(r.capacity(), r.used(is))).Int64())
}

// maybeReload changes a rule now and then. Whom it changed is asked at once: only
// then has every store heard of it.
func (h *history) maybeReload() *subject {
	if h.IntN(12) != 0 {
		return nil
	}
	s := pick(h, h.subjects...)
	old := s.rule
	if h.drawRule(s, len(s.classes)); h.IntN(3) > 0 {
		h.keepSome(s, old)
	}
	return s
}

// reloadInTrial changes the rule of a breaker of which some probes have succeeded, as
// far as its next probes are concerned, in one of four such calls.
func (h *history) reloadInTrial(m *model) *subject {
	for _, s := range h.subjects {
		a, ok := m.accounts[s.key].(*breakerAccount)
		if ok && a.succeeded > 0 && h.IntN(4) == 0 {
			r := s.rule.(breakerRule)
			r.bucket.Probes = 1 + h.Int64N(3)
			s.rule = r
			return s
		}
	}
	return nil
}

// keepSome reloads only the capacity, or all but that, of a token bucket.
func (h *history) keepSome(s *subject, old rule) {
	was, ok := old.(tokenRule)
	if !ok || s.classes != nil {
		return
	}
	changed := s.rule.(tokenRule).terms
	if h.IntN(2) == 0 {
		changed.Capacity = was.terms.Capacity
	} else {
		capacity := h.anyCapacity(was.terms.Tokens, was.terms.Period)
		changed = was.terms
		changed.Capacity = max(capacity, changed.Missing)
	}
	if r, err := newTokenRule(changed); err == nil && !(s.first && r.closed()) {
		s.rule = r
	}
}

// nextInstant draws when the next request comes.
func (h *history) nextInstant(m *model, now int64) int64 {
	next := h.anyInstant(m, now)
	for _, s := range h.subjects {
		for key, r := range s.rules() {
			if a := m.accounts[key]; a != nil && r.remembers(a) {
				next = min(next, max(now, now+r.kept(a, now)-1))
			}
		}
	}
	return next
}

func (h *history) anyInstant(m *model, now int64) int64 {
	r := pick(h, h.subjects...).rule
	told := min(pick(h, append(h.told, 0)...), (30 * 24 * time.Hour).Microseconds())
	switch h.IntN(12) {
	case 0, 1:
		return now
	case 2, 3:
		return now + 1 + h.Int64N(1000)
	case 4:
		return now + h.Int64N(r.quantum()+1)
	case 5:
		return now + h.Int64N(r.scale()+1)
	case 6:
		return now + told
	case 7:
		return now + max(0, told-1)
	case 8:
		return now + max(0, told-r.quantum())
	case 9:
		return now + h.Int64N(1_000_000)
	case 10:
		return now + h.Int64N(3*r.scale()+1)
	default:
		back := pick(h, int64(1), 1_000, 1_000_000, 3_600_000_000, 90*24*3_600_000_000)
		return max(now-1-h.Int64N(back), min(now, m.forgot))
	}
}

// forget drops what time alone has taken away by now, and remembers since when.
// The clock may jump back, as after a fail-over to a server whose clock is
// behind, but never to before that: a store may or may not have forgotten the
// bucket by then, both are right, and it must not owe tokens again.
func (h *history) forget(m *model, now int64) {
	for _, s := range h.subjects {
		for key, r := range s.rules() {
			if is, _ := m.recall(key, r, now); is == nil && m.accounts[key] != nil {
				delete(m.accounts, key)
			}
		}
	}
}

func pick[T any](h *history, from ...T) T { return from[h.IntN(len(from))] }
