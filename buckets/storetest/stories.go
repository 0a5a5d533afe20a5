package storetest

import (
	"strconv"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// scene is a store on a clock that the story moves.
type scene struct {
	*testing.T
	clock  *Clock
	stores []buckets.Store
	calls  int
}

func newScene(t *testing.T, s Subject, replicas int) *scene {
	clock := NewClock()
	return &scene{T: t, clock: clock, stores: s.Open(t, replicas, clock)}
}

// bucket compiles a limit.
func (s *scene) bucket(tokens int64, period time.Duration, capacity int64) buckets.TokenBucket {
	s.Helper()
	b, err := buckets.NewTokenBucket(tokens, period, capacity)
	if err != nil {
		s.Fatal(err)
	}
	return b
}

// tenPerSecond is the bucket that most stories are told with: 100 tokens, 10
// refilled each second.
func (s *scene) tenPerSecond() buckets.TokenBucket { return s.bucket(10, time.Second, 100) }

// ask sends one request to the next replica.
func (s *scene) ask(charges ...buckets.Charge) []buckets.Outcome {
	s.Helper()
	store := s.stores[s.calls%len(s.stores)]
	s.calls++
	outcomes, err := store.Take(s.Context(), charges)
	if err != nil || len(outcomes) != len(charges) {
		s.Fatalf("%d outcomes and error %v for %d charges", len(outcomes), err, len(charges))
	}
	return outcomes
}

// allowed asks for one charge and wants it admitted with so many tokens left.
func (s *scene) allowed(c buckets.Charge, remaining int64) {
	s.Helper()
	s.one(c, true, remaining)
}

// denied asks for one charge and wants it refused with so many tokens left.
func (s *scene) denied(c buckets.Charge, remaining int64) {
	s.Helper()
	s.one(c, false, remaining)
}

func (s *scene) one(c buckets.Charge, admitted bool, remaining int64) {
	s.Helper()
	o := s.ask(c)[0]
	if left := c.Bucket.Remaining(o.Used); o.Admitted != admitted || left != remaining {
		s.Fatalf("cost %d: admitted %v with %d left, want %v with %d", c.Cost, o.Admitted, left, admitted, remaining)
	}
}

// burst sends n requests for one charge and counts those admitted.
func (s *scene) burst(c buckets.Charge, n int) (admitted int) {
	s.Helper()
	for range n {
		if s.ask(c)[0].Admitted {
			admitted++
		}
	}
	return admitted
}

func take(key string, b buckets.Bucket, cost int64) buckets.Charge {
	return buckets.Charge{Key: "{story}" + key, Limit: "story", Bucket: b, Cost: cost}
}

func look(key string, b buckets.Bucket, cost int64) buckets.Charge {
	c := take(key, b, cost)
	c.Mode = buckets.Look
	return c
}

func refund(key string, b buckets.Bucket, cost int64) buckets.Charge {
	c := take(key, b, cost)
	c.Mode = buckets.Refund
	return c
}

func shadow(key string, b buckets.Bucket, cost int64) buckets.Charge {
	c := take(key, b, cost)
	c.Role = buckets.Shadow
	return c
}

// story is told on a fresh store, to so many replicas in turn.
type story struct {
	name     string
	replicas int
	tell     func(*scene)
}

func runStories(t *testing.T, s Subject) {
	for _, told := range [][]story{tokenStories, kindStories} {
		for _, story := range told {
			t.Run(story.name, func(t *testing.T) { story.tell(newScene(t, s, story.replicas)) })
		}
	}
}

var tokenStories = []story{
	{"C-03 a bucket never seen is full and is taken from whole or not at all", 1, wholeOrNot},
	{"C-04 refilled once however many replicas run, never above capacity", 3, refilledOnce},
	{"C-16 a cost above the capacity never passes", 1, neverPasses},
	{"C-17 a refused request takes nothing", 1, refusedTakesNothing},
	{"G-06 a burst of 100, then 10 each second", 1, burstThenRate},
	{"a look takes nothing", 1, looksTakeNothing},
	{"a refund never lifts above full and stands beside a refusal", 1, refunds},
	{"a shadow charge refuses nobody", 1, shadows},
	{"a bucket charged twice is judged after what was taken first", 1, chargedTwice},
	{"a closed bucket refuses and forgets nothing", 1, closedBucket},
	{"a changed rate carries the tokens used", 1, changedRate},
	{"a changed rate holds for who is refused", 1, changedRateRefused},
	{"a lowered capacity empties at most", 1, loweredCapacity},
	{"a clock that goes back an hour locks nobody out for longer than a refill", 1, clockBack},
	{"the largest bucket counts every tick", 1, largestBucket},
	{"16 charges are judged, 17 are an error, none is no call", 1, chargeCounts},
}

func wholeOrNot(s *scene) {
	b := s.tenPerSecond()
	s.denied(take("a", b, 101), 100)
	s.allowed(take("a", b, 60), 40)
	s.denied(take("a", b, 41), 40)
	s.allowed(take("a", b, 40), 0)
	s.allowed(take("b", b, 100), 0)
}

func refilledOnce(s *scene) {
	c := take("a", s.tenPerSecond(), 1)
	if n := s.burst(c, 300); n != 100 {
		s.Fatalf("%d of 300 admitted at once, want 100", n)
	}
	s.clock.Advance(time.Second)
	if n := s.burst(c, 30); n != 10 {
		s.Fatalf("%d of 30 admitted after a second, want 10", n)
	}
	s.clock.Advance(24 * time.Hour)
	if n := s.burst(c, 300); n != 100 {
		s.Fatalf("%d of 300 admitted after a day, want 100", n)
	}
}

func neverPasses(s *scene) {
	c := take("a", s.tenPerSecond(), 101)
	for range 3 {
		s.denied(c, 100)
		s.clock.Advance(time.Hour)
	}
	if !c.Hopeless() {
		s.Fatal("a cost above the capacity has hope")
	}
	c.Cost = 1<<63 - 1
	s.denied(c, 100)
	s.allowed(take("a", c.Bucket, 100), 0)
}

func refusedTakesNothing(s *scene) {
	b := s.tenPerSecond()
	s.allowed(take("pool", b, 99), 1)
	s.denied(take("pool", b, 2), 1)
	both := s.ask(take("user", b, 5), take("pool", b, 2), take("tenant", b, 7))
	if !both[0].Admitted || both[1].Admitted || !both[2].Admitted {
		s.Fatalf("judged %+v, want only the second refused", both)
	}
	s.allowed(look("user", b, 1), 100)
	s.allowed(look("tenant", b, 1), 100)
	s.allowed(take("pool", b, 1), 0)
}

func burstThenRate(s *scene) {
	c := take("a", s.tenPerSecond(), 1)
	s.burst(c, 100)
	s.clock.Advance(10 * time.Second)
	if n := s.burst(c, 100); n != 100 {
		s.Fatalf("%d of 100 admitted at once after 10 idle seconds", n)
	}
	s.denied(c, 0)
	for range 5 {
		if n := s.burst(c, 1); n != 0 {
			s.Fatal("one more admitted before a tenth of a second has passed")
		}
		s.clock.Advance(100 * time.Millisecond)
		if n := s.burst(c, 2); n != 1 {
			s.Fatalf("%d of 2 admitted after a tenth of a second, want 1", n)
		}
	}
}

func looksTakeNothing(s *scene) {
	b := s.tenPerSecond()
	s.allowed(look("a", b, 100), 100)
	s.denied(look("a", b, 101), 100)
	s.allowed(take("a", b, 70), 30)
	s.denied(look("a", b, 31), 30)
	s.allowed(look("a", b, 30), 30)
	s.allowed(look("a", b, 0), 30)
	if s.ask(look("a", b, 31), take("b", b, 1)); s.ask(look("b", b, 1))[0].Used != 0 {
		s.Fatal("a refused look let the take beside it pass")
	}
}

func refunds(s *scene) {
	b := s.tenPerSecond()
	s.allowed(refund("new", b, 5), 100)
	s.allowed(take("a", b, 10), 90)
	s.allowed(refund("a", b, 4), 94)
	s.allowed(refund("a", b, 1<<63-1), 100)
	s.allowed(take("a", b, 50), 50)
	mixed := s.ask(take("a", b, 20), refund("a", b, 10), take("b", b, 101))
	if mixed[2].Admitted || b.Remaining(mixed[0].Used) != 60 {
		s.Fatalf("%+v, want the refund alone to stand: 60 left", mixed)
	}
	s.allowed(look("a", b, 1), 60)
}

func shadows(s *scene) {
	b, small := s.tenPerSecond(), s.bucket(1, time.Second, 2)
	for i, admits := range []bool{true, true, false} {
		got := s.ask(take("a", b, 1), shadow("s", small, 1))
		if !got[0].Admitted || got[1].Admitted != admits || b.Remaining(got[0].Used) != 99-int64(i) {
			s.Fatalf("request %d: %+v", i, got)
		}
	}
	s.clock.Advance(time.Second)
	s.ask(take("a", b, 101), shadow("s", small, 1))
	s.allowed(shadow("s", small, 1), 0) // the refused request left its token
	s.denied(shadow("s", small, 1), 0)
}

func chargedTwice(s *scene) {
	b := s.tenPerSecond()
	twice := s.ask(take("a", b, 60), take("a", b, 60))
	if !twice[0].Admitted || twice[1].Admitted || twice[0].Used != 0 || twice[1].Used != 0 {
		s.Fatalf("%+v, want the second refused and nothing taken", twice)
	}
	if lacked := twice[1].Delay; lacked != 2*time.Second {
		s.Fatalf("the second waits %v, want 2s for 20 tokens", lacked)
	}
	s.ask(take("a", b, 60), take("a", b, 40))
	s.denied(take("a", b, 1), 0)
}

func closedBucket(s *scene) {
	b := s.tenPerSecond()
	var closed buckets.TokenBucket
	s.denied(take("new", closed, 1), 0)
	s.allowed(take("new", closed, 0), 0)
	s.allowed(take("a", b, 100), 0)
	s.denied(take("a", closed, 1), 0)
	s.allowed(refund("a", closed, 50), 0)
	s.denied(take("a", b, 1), 0) // closing it did not fill it
	if got := s.ask(take("b", b, 1), take("a", closed, 1))[1]; got.Delay != 0 {
		s.Fatalf("%+v, but nothing refills a closed bucket", got)
	}
}

func changedRate(s *scene) {
	s.allowed(take("a", s.tenPerSecond(), 3), 97)
	s.allowed(look("a", s.bucket(20, time.Second, 100), 1), 97)
	perDay, perHour := s.bucket(1, 24*time.Hour, 50_000), s.bucket(1, time.Hour, 50_000)
	s.allowed(take("b", perDay, 49_990), 10)
	s.allowed(take("b", perHour, 1), 9)
	s.allowed(take("b", perDay, 1), 8)
	s.denied(take("b", perHour, 9), 8)
}

// changedRateRefused: the new rate must run from the first request that meets
// it, also if that is refused, or the delay it was told would not hold.
func changedRateRefused(s *scene) {
	s.allowed(take("a", s.bucket(1, 24*time.Hour, 10), 10), 0)
	faster := take("a", s.bucket(10, time.Second, 10), 1)
	refused := s.ask(faster)[0]
	delay := refused.Delay
	if refused.Admitted || delay != 100*time.Millisecond {
		s.Fatalf("%+v with delay %v, want a refusal for 100ms", refused, delay)
	}
	s.clock.Advance(delay)
	s.allowed(faster, 0)
}

func loweredCapacity(s *scene) {
	s.allowed(take("a", s.tenPerSecond(), 100), 0)
	lower := take("a", s.bucket(10, time.Second, 20), 20)
	refused := s.ask(lower)[0]
	if delay := refused.Delay; refused.Admitted || delay != 2*time.Second {
		s.Fatalf("%+v with delay %v, want a refusal for the 2s that 20 tokens take", refused, delay)
	}
	s.clock.Advance(2 * time.Second)
	s.allowed(lower, 0)
}

func clockBack(s *scene) {
	c := take("a", s.tenPerSecond(), 1)
	s.allowed(take("a", c.Bucket, 50), 50)
	s.clock.Advance(-time.Hour)
	s.denied(c, 0) // as good as empty, but no emptier
	s.clock.Advance(10 * time.Second)
	if n := s.burst(c, 200); n != 100 {
		s.Fatalf("%d of 200 admitted after the time to fill, want 100", n)
	}
}

// largestBucket: at 1/s a token is 10^6 ticks and this capacity the most that
// fits, so a level and the cost of one token too many add up to more than 2^53,
// where doubles are even. One tick is refilled in a microsecond.
func largestBucket(s *scene) {
	const capacity = 4_503_599_627
	b := s.bucket(1, time.Second, capacity)
	s.allowed(take("a", b, capacity), 0)
	s.clock.Advance(3 * time.Microsecond)
	most := take("a", b, capacity)
	for _, request := range [][]buckets.Charge{{most}, {take("b", s.tenPerSecond(), 0), most}} {
		got := s.ask(request...)[len(request)-1]
		want := int64(capacity*1_000_000 - 3)
		if got.Admitted || got.Used != want || got.Delay.Microseconds() != want {
			s.Fatalf("%d charges: %+v, want %d ticks used and as many microseconds to wait", len(request), got, want)
		}
	}
}

func chargeCounts(s *scene) {
	charges := make([]buckets.Charge, 0, buckets.MaxCharges+1)
	for i := range buckets.MaxCharges {
		charges = append(charges, take(strconv.Itoa(i), s.tenPerSecond(), 1))
	}
	for i, o := range s.ask(charges...) {
		if !o.Admitted || o.Now != s.clock.Micros() {
			s.Fatalf("charge %d: %+v", i, o)
		}
	}
	if got, err := s.stores[0].Take(s.Context(), append(charges, charges[0])); err == nil {
		s.Fatalf("%d charges were judged: %+v", len(charges)+1, got)
	}
	s.allowed(look("0", s.tenPerSecond(), 1), 99)
	s.ask()
}
