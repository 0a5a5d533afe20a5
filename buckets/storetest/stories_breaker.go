package storetest

import (
	"fmt"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// call asks a breaker for one request.
func (s *scene) call(b buckets.Breaker, lease string) bool {
	s.Helper()
	c := take("b", b, 1)
	c.Lease = lease
	return s.ask(c)[0].Admitted
}

// ends tells a breaker the end of a request that was admitted at an instant.
func (s *scene) ends(b buckets.Breaker, lease string, failed, at int64) {
	s.Helper()
	c := take("b", b, failed)
	c.Lease, c.At = lease, at
	s.mode(buckets.Settle, c)
}

func breakerTurns(s *scene) {
	b := buckets.Breaker{Failures: 5, OpenFor: 30_000_000, Probes: 2, ProbeTTL: 10_000_000}
	asks := func(lease string) bool { return s.call(b, lease) }
	ends := func(lease string, failed int64) { s.ends(b, lease, failed, s.clock.Micros()) }
	for i, failed := range []int64{1, 1, 1, 1, 0, 1, 1, 1, 1, 1} {
		if !asks(fmt.Sprint(i)) {
			s.Fatalf("refused before call %d, with no five failures in a row", i)
		}
		ends(fmt.Sprint(i), failed)
	}
	if asks("x") {
		s.Fatal("five failures in a row did not open it")
	}
	s.clock.Advance(30 * time.Second)
	if !asks("p") || !asks("q") || asks("r") {
		s.Fatal("a half-open breaker does not admit exactly two")
	}
	ends("p", 0)
	ends("q", 1)
	if asks("x") {
		s.Fatal("a probe that failed did not open it")
	}
	s.clock.Advance(30 * time.Second)
	asks("crashed")
	asks("p")
	ends("p", 0)
	s.clock.Advance(10 * time.Second)
	if !asks("q") {
		s.Fatal("a probe that nobody told of was not given up")
	}
	ends("q", 0)
	for i := range 10 {
		if !asks(fmt.Sprint(i)) {
			s.Fatal("two probes succeeded and it is not closed")
		}
	}
}

// breakerForgives: 20 in flight, 5 fail and open it, a probe closes it, and the
// other 15 fail, at once and after 59 minutes. Each replica hears of some of them.
func breakerForgives(s *scene) {
	b := buckets.Breaker{Failures: 5, OpenFor: 30_000_000, Probes: 1, ProbeTTL: 10_000_000}
	admitted := s.clock.Micros()
	fail := func(from, to int, at int64) {
		for i := from; i < to; i++ {
			s.ends(b, fmt.Sprint(i), 1, at)
		}
	}
	for i := range 20 {
		s.call(b, fmt.Sprint(i))
	}
	s.clock.Advance(time.Second)
	fail(0, 5, admitted)
	s.clock.Advance(30 * time.Second)
	if !s.call(b, "probe") || s.call(b, "x") {
		s.Fatal("five failures did not open it for 30 s")
	}
	s.ends(b, "probe", 0, s.clock.Micros())
	closed := s.clock.Micros()
	fail(5, 12, admitted)
	s.clock.Advance(59 * time.Minute)
	fail(12, 20, admitted)
	if !s.call(b, "x") {
		s.Fatal("requests from before it opened opened it again")
	}
	s.clock.Advance(time.Minute - time.Microsecond)
	fail(0, 5, closed)
	if s.call(b, "x") {
		s.Fatal("requests that were admitted when it closed did not open it")
	}
}

// breakerReloads: two of three probes succeeded when the rules ask for one.
func breakerReloads(s *scene) {
	three := buckets.Breaker{Failures: 1, OpenFor: 30_000_000, Probes: 3, ProbeTTL: 60_000_000}
	one := three
	one.Probes = 1
	s.ends(three, "a", 1, s.clock.Micros())
	s.clock.Advance(30 * time.Second)
	for _, lease := range []string{"p", "q", "lost"} {
		s.call(three, lease)
	}
	s.ends(three, "p", 0, s.clock.Micros())
	s.ends(three, "q", 0, s.clock.Micros())
	look := take("b", one, 1)
	if !s.mode(buckets.Look, look).Admitted {
		s.Fatal("more probes succeeded than are asked for, and it refuses")
	}
	since := s.clock.Micros()
	s.clock.Advance(time.Second)
	if !s.call(one, "x") {
		s.Fatal("it closed when it was looked at, and refuses")
	}
	s.ends(one, "x", 1, since)
	if s.call(one, "y") {
		s.Fatal("what was admitted since it closed does not open it")
	}
}
