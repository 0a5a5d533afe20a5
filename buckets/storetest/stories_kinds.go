package storetest

import (
	"fmt"
	"time"

	"github.com/weir-rls/weir/buckets"
)

var kindStories = []story{
	{"G-02 100 in 60 s and 10000 a day together, both or none", 3, twoLimits},
	{"G-04 a fixed window of 100 a minute admits 200 around a boundary", 3, fixedBoundary},
	{"G-05 a sliding window of 100 a minute admits 100 around any", 3, slidingBoundary},
	{"G-07 to G-09 a breaker opens, tries and closes for all replicas", 3, breakerTurns},
	{"G-07 what was admitted before a breaker opened never opens it again", 3, breakerForgives},
	{"a breaker closes when a reload wants no more probes than succeeded", 3, breakerReloads},
	{"M-04 a failed response gives its success count back to its window", 3, successCount},
	{"N17 slots come back by release or time, and never twice", 3, slotsComeBack},
	{"a gate lets a receipt through once", 3, gateOnce},
	{"a settlement owes down to the debt and tells what it lost", 1, settles},
	{"reservations queue over all replicas and the last may be cancelled", 3, reserves},
	{"a bucket never seen lacks its first tokens once", 1, missesFirst},
	{"one quota of two is enough, and what refuses is not charged", 1, quotas},
	{"a class has its guarantee beside a hog, and borrows what is left", 3, borrows},
	{"a release gives a pool's slots back to the pool and the class", 3, slotPoolReleases},
	{"a forgotten bucket is one never seen", 3, forgotten},
}

func (s *scene) mode(m buckets.Mode, c buckets.Charge) buckets.Outcome {
	s.Helper()
	c.Mode = m
	return s.ask(c)[0]
}

func twoLimits(s *scene) {
	perMinute := take("minute", s.bucket(100, time.Minute, 100), 1)
	perDay := take("day", buckets.FixedWindow{Limit: 250, Calendar: buckets.Calendar{Unit: buckets.CalendarDay}}, 1)
	s.clock.Set(1_798_761_600_000_000) // midnight
	for minute, want := range []int{100, 100, 50, 0} {
		passed := 0
		for range 120 {
			if got := s.ask(perMinute, perDay); got[0].Admitted && got[1].Admitted {
				passed++
			}
		}
		if passed != want {
			s.Fatalf("%d passed in minute %d, want %d", passed, minute, want)
		}
		s.clock.Advance(time.Minute)
	}
	s.allowed(look("minute", perMinute.Bucket, 100), 100) // the day's refusals took nothing of the minute's
}

// boundary counts what passes in two seconds around the start of a minute.
func (s *scene) boundary(b buckets.Bucket) int {
	s.clock.Set(1_798_761_600_000_000 - 1_000_000)
	admitted := s.burst(take("a", b, 1), 300)
	s.clock.Advance(2*time.Second - time.Microsecond)
	return admitted + s.burst(take("a", b, 1), 300)
}

func fixedBoundary(s *scene) {
	window := buckets.FixedWindow{Limit: 100, Calendar: buckets.Calendar{Unit: buckets.CalendarMinute}}
	if n := s.boundary(window); n != 200 {
		s.Fatalf("%d admitted in two seconds, want 200", n)
	}
}

func slidingBoundary(s *scene) {
	window := buckets.SlidingWindow{Limit: 100, Window: 60_000_000, Parts: 60}
	if n := s.boundary(window); n != 100 {
		s.Fatalf("%d admitted in two seconds, want 100", n)
	}
	s.clock.Advance(58 * time.Second)
	s.denied(take("a", window, 1), 0)
	s.clock.Advance(2 * time.Second)
	s.allowed(take("a", window, 100), 0)
}

func successCount(s *scene) {
	b := buckets.FixedWindow{Limit: 10, Calendar: buckets.Calendar{Unit: buckets.CalendarMinute}}
	s.clock.Set(1_798_761_600_000_000)
	s.allowed(take("a", b, 6), 4)
	failed := refund("a", b, 6)
	failed.At = s.clock.Micros()
	s.clock.Advance(59 * time.Second)
	s.allowed(failed, 10)
	s.clock.Advance(time.Second)
	s.allowed(take("a", b, 10), 0)
	s.allowed(failed, 0) // comes late: its window is over, this one keeps its count
	s.denied(take("a", b, 1), 0)
}

func slotsComeBack(s *scene) {
	b := buckets.Slots{Count: 3, TTL: 10_000_000}
	of := func(lease string, slots int64) buckets.Charge {
		c := take("s", b, slots)
		c.Lease = lease
		return c
	}
	s.allowed(of("a", 2), 1)
	s.allowed(of("a", 2), 1) // again: renewed
	s.denied(of("b", 2), 1)
	s.allowed(of("b", 1), 0)
	s.mode(buckets.Refund, of("a", 2))
	s.mode(buckets.Refund, of("a", 2)) // twice: no-op
	s.denied(of("c", 3), 2)
	s.allowed(of("c", 2), 0)
	s.mode(buckets.Refund, of("a", 2)) // late: not what c holds
	s.denied(of("d", 1), 0)
	s.clock.Advance(10 * time.Second) // all crashed
	s.allowed(of("d", 3), 0)
}

func gateOnce(s *scene) {
	b := s.tenPerSecond()
	s.allowed(take("a", b, 90), 10)
	redeem := func(lease string) int64 {
		gate := take("receipt", buckets.Slots{Count: 1, TTL: 60_000_000}, 1)
		gate.Role, gate.Lease = buckets.Gate, lease
		return b.Remaining(s.ask(gate, refund("a", b, 30), settle("b", b, 5))[1].Used)
	}
	if first, second := redeem("x"), redeem("y"); first != 40 || second != 40 {
		s.Fatalf("%d left after the receipt, %d when it came again, want 40 both times", first, second)
	}
	s.allowed(look("b", b, 1), 95)
}

func settle(key string, b buckets.Bucket, cost int64) buckets.Charge {
	c := take(key, b, cost)
	c.Mode = buckets.Settle
	return c
}

func (s *scene) terms(t buckets.Terms) buckets.TokenBucket {
	s.Helper()
	t.Tokens, t.Period = 10, time.Second
	b, err := t.TokenBucket()
	if err != nil {
		s.Fatal(err)
	}
	return b
}

func settles(s *scene) {
	b := s.terms(buckets.Terms{Capacity: 100, MaxDebt: 50})
	s.allowed(settle("a", b, 120), 0)
	if o := s.ask(settle("a", b, 120), take("b", b, 101))[0]; o.Lost != 90*b.TicksPerToken || o.Used != 150*b.TicksPerToken {
		s.Fatalf("%+v, want 150 tokens used and 90 lost", o)
	}
	if o := s.ask(take("a", b, 1))[0]; o.Admitted || o.Delay != 5100*time.Millisecond {
		s.Fatalf("%+v, want a wait of 5.1s", o)
	}
}

func reserves(s *scene) {
	b := s.terms(buckets.Terms{Capacity: 1, MaxWait: 500 * time.Millisecond})
	c := take("a", b, 1)
	c.MayOwe = b.Ahead
	var places []buckets.Place
	for i := range 7 {
		o := s.ask(c)[0]
		if o.Admitted != (i < 6) || o.Delay != time.Duration(i)*100*time.Millisecond {
			s.Fatalf("caller %d: %+v", i, o)
		}
		places = append(places, b.State(o.Used, o.Now).Place)
	}
	cancel := func(i int) bool {
		gone := c
		gone.Place = places[i]
		return s.mode(buckets.Cancel, gone).Admitted
	}
	if cancel(3) || !cancel(5) || cancel(5) {
		s.Fatal("not exactly the last place can be given up, once")
	}
	if o := s.ask(c)[0]; !o.Admitted || o.Delay != 500*time.Millisecond {
		s.Fatalf("%+v, want the place that was given up", o)
	}
}

func missesFirst(s *scene) {
	b := s.terms(buckets.Terms{Capacity: 100, Missing: 100})
	s.denied(take("a", b, 1), 0)
	s.clock.Advance(time.Second)
	s.allowed(take("a", b, 10), 0)
	s.clock.Advance(time.Hour)
	s.allowed(take("a", b, 100), 0)
}

func quotas(s *scene) {
	b := s.tenPerSecond()
	quota := func(key string, cost int64) buckets.Charge {
		c := take(key, b, cost)
		c.Role = buckets.Quota
		return c
	}
	s.allowed(take("b", b, 98), 2)
	got := s.ask(take("a", b, 5), quota("b", 5), quota("c", 5))
	if got[1].Admitted || b.Remaining(got[0].Used) != 95 || b.Remaining(got[1].Used) != 2 || b.Remaining(got[2].Used) != 95 {
		s.Fatalf("%+v, want a and c charged", got)
	}
	if none := s.ask(take("a", b, 5), quota("b", 5)); b.Remaining(none[0].Used) != 95 {
		s.Fatalf("%+v, want nothing charged", none)
	}
}

func borrows(s *scene) {
	terms := []buckets.ClassTerms{
		{Guarantee: 2, Period: time.Second, Reserve: 10, Borrow: true},
		{Guarantee: 2, Period: time.Second, Reserve: 10},
	}
	pool, classes, err := buckets.NewPool(buckets.Terms{Tokens: 10, Period: time.Second, Capacity: 100}, terms)
	if err != nil {
		s.Fatal(err)
	}
	draw := func(class int, cost int64) buckets.Charge {
		c := take("pool", pool, cost)
		c.Class, c.ClassKey = &classes[class], fmt.Sprintf("{story}class %d", class)
		return c
	}
	if n := s.burst(draw(0, 1), 200); n != 90 {
		s.Fatalf("the hog gets %d, want all but the other's reserve of 10", n)
	}
	if o := s.ask(draw(0, 1))[0]; o.Admitted || o.Delay != 125*time.Millisecond {
		s.Fatalf("%+v, want a wait until the pool is one ahead of both guarantees", o)
	}
	s.denied(draw(1, 11), 10)
	s.allowed(draw(1, 10), 0)
	s.denied(draw(1, 1), 0)
}

func slotPoolReleases(s *scene) {
	pool := buckets.Slots{Count: 10, TTL: 10_000_000}
	classes := buckets.NewSlotPool(pool, []buckets.ClassTerms{{Reserve: 4, Borrow: true}, {Reserve: 3}})
	draw := func(class int, lease string, slots int64) buckets.Charge {
		c := take("slots", pool, slots)
		c.Lease, c.Class, c.ClassKey = lease, &classes[class], fmt.Sprintf("{story}class %d", class)
		return c
	}
	s.allowed(draw(0, "guaranteed", 4), 6)
	s.allowed(draw(0, "borrowed", 3), 3)
	s.denied(draw(0, "more", 1), 3)
	s.mode(buckets.Refund, draw(0, "borrowed", 3))
	if o := s.ask(draw(0, "more", 1))[0]; !o.Borrowed || o.ClassUsed != 4 {
		s.Fatalf("%+v: what was borrowed came back to the guarantee", o)
	}
	s.mode(buckets.Refund, draw(0, "guaranteed", 4))
	if o := s.ask(draw(0, "again", 4))[0]; o.Borrowed || o.ClassUsed != 4 || o.Used != 5 {
		s.Fatalf("%+v: what was guaranteed did not come back", o)
	}
	s.allowed(draw(1, "other", 3), 2)
}
