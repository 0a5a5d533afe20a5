package buckets_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

// spec is a token bucket as a rule says it.
type spec struct {
	tokens   int64
	period   time.Duration
	capacity int64
}

// specs draws rules of every size, accepted or not.
var specs = rapid.Custom(func(t *rapid.T) spec {
	periods := rapid.OneOf(
		rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 1500 * time.Millisecond}),
		rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(1, 86_400_000_000).Draw(t, "micros")) * time.Microsecond
		}),
		rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(1, math.MaxInt64/1000).Draw(t, "any micros")) * time.Microsecond
		}),
	)
	amounts := rapid.OneOf(rapid.Int64Range(1, 1000), rapid.Int64Range(1, math.MaxInt32), rapid.Int64Range(1, math.MaxInt64))
	s := spec{amounts.Draw(t, "tokens"), periods.Draw(t, "period"), amounts.Draw(t, "capacity")}
	if rapid.Bool().Draw(t, "edge") {
		// As many tokens as a clock of 1 us holds in 2^53, 2^52 or a third of it, or
		// one beside: there a missing factor shows.
		micros := s.period.Microseconds()
		token := micros / new(big.Int).GCD(nil, nil, integer(micros), integer(s.tokens)).Int64()
		most := rapid.SampledFrom([]int64{buckets.MaxTicks, buckets.MaxTicks / 2, buckets.MaxTicks / 3}).Draw(t, "most")
		s.capacity = max(1, most/token+rapid.Int64Range(-1, 1).Draw(t, "beside"))
	}
	return s
})

// compiled draws a bucket that is not closed.
var compiled = rapid.Custom(func(t *rapid.T) buckets.TokenBucket {
	s := specs.Draw(t, "spec")
	b, _ := buckets.NewTokenBucket(s.tokens, s.period, s.capacity) // closed where it is not representable
	return b
}).Filter(func(b buckets.TokenBucket) bool { return b.Capacity > 0 })

// levels draws ticks used of b.
func levels(b buckets.TokenBucket) *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(0, b.Full()), rapid.SampledFrom([]int64{0, 1, b.Full() - 1, b.Full()}))
}

// instants are microseconds since the epoch, until 2100.
var instants = rapid.Int64Range(0, 4_102_444_800_000_000)

func integer(n int64) *big.Int { return big.NewInt(n) }

func product(ns ...int64) *big.Int {
	p := integer(1)
	for _, n := range ns {
		p.Mul(p, integer(n))
	}
	return p
}

// holds tells, in numbers of any size, whether a bucket of capacity B whose
// token is P ticks and whose quantum q refills R stays below 2^53.
func holds(capacity, ticksPerToken, ticksPerQuantum, quantum int64) bool {
	most := integer(buckets.MaxTicks)
	level := product(2, capacity, ticksPerToken)
	level.Add(level, integer(ticksPerQuantum))
	until := new(big.Int).Quo(product(capacity, ticksPerToken), integer(ticksPerQuantum))
	until.Add(until, integer(4_102_444_800_000_000/quantum))
	return level.Cmp(most) <= 0 && until.Cmp(most) < 0
}

// TestRateIsExactAndEveryNumberBelow2To53: R/(P*q) is N/D without remainder, a
// level and a cost of a full bucket each have room in one double, and no finer
// clock would do.
func TestRateIsExactAndEveryNumberBelow2To53(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := specs.Draw(t, "spec")
		b, err := buckets.NewTokenBucket(s.tokens, s.period, s.capacity)
		micros := s.period.Microseconds()
		for _, q := range []int64{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 60_000_000} {
			if micros%q != 0 {
				continue
			}
			ratio := big.NewRat(micros/q, s.tokens) // P/R in lowest terms
			fits := holds(s.capacity, ratio.Num().Int64(), ratio.Denom().Int64(), q)
			if !fits {
				continue
			}
			want := buckets.TokenBucket{
				Capacity: s.capacity, Quantum: q,
				TicksPerToken: ratio.Num().Int64(), TicksPerQuantum: ratio.Denom().Int64(),
			}
			if err != nil || b != want {
				t.Fatalf("%+v compiled to %+v and %v, want %+v", s, b, err, want)
			}
			return
		}
		if !errors.Is(err, buckets.ErrInexact) {
			t.Fatalf("%+v compiled to %+v and %v, but fits nowhere", s, b, err)
		}
	})
}

// What stays used beyond a lowered capacity is counted as exactly as the rest: a
// pool that shrinks does not come to a level that no store can count.
func TestWhatIsKeptIsExactToo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := specs.Draw(t, "spec")
		kept := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, buckets.MaxTicks)).Draw(t, "kept")
		b, err := buckets.Terms{Tokens: s.tokens, Period: s.period, Capacity: s.capacity, Kept: kept}.TokenBucket()
		whole, alone := buckets.NewTokenBucket(s.tokens, s.period, s.capacity+kept)
		if (err == nil) != (alone == nil) {
			t.Fatalf("%+v with %d kept: %v; of a capacity of both: %v", s, kept, err, alone)
		}
		if err == nil && (b.Deepest() != whole.Full() || b.TicksPerToken != whole.TicksPerToken || b.Quantum != whole.Quantum) {
			t.Fatalf("%+v with %d kept is %+v, one of a capacity of both %+v", s, kept, b, whole)
		}
	})
}

func TestRatesWithoutABucketAreRefusedInWords(t *testing.T) {
	for _, c := range []struct {
		spec
		inexact bool
		says    string
	}{
		{spec{-1, time.Second, 1}, false, "negative"},
		{spec{1, time.Second, -1}, false, "negative"},
		{spec{1, time.Second, 0}, false, "capacity of 0"},
		{spec{1, 0, 1}, true, "period of 0s"},
		{spec{1, -time.Second, 1}, true, "positive"},
		{spec{1, time.Nanosecond, 1}, true, "microseconds"},
		{spec{1, 7 * time.Microsecond, math.MaxInt64}, true, "smaller capacity"},
	} {
		b, err := buckets.NewTokenBucket(c.tokens, c.period, c.capacity)
		if err == nil || errors.Is(err, buckets.ErrInexact) != c.inexact || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %+v, %v, want an error that says %q", c.spec, b, err, c.says)
		}
	}
}

func TestRateOfZeroIsTheClosedBucket(t *testing.T) {
	b, err := buckets.NewTokenBucket(0, time.Second, 100)
	if err != nil || b != (buckets.TokenBucket{}) {
		t.Fatalf("%+v, %v, want the zero bucket", b, err)
	}
	held := buckets.TokenState{Place: buckets.Place{TAT: 1 << 50}, TicksPerToken: 1, TicksPerQuantum: 1, Quantum: 1}
	if b.Used(held, 0) != 0 || b.Remaining(0) != 0 || b.Refill(1) != 0 || b.Full() != 0 {
		t.Error("a closed bucket holds or refills something")
	}
}

// TestLevelSurvivesStorage: what is stored is read back as it was, refills R
// ticks in each quantum and is full by FullAt.
func TestLevelSurvivesStorage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := compiled.Draw(t, "bucket")
		used, now := levels(b).Draw(t, "used"), instants.Draw(t, "now")
		s := b.State(used, now)
		if s.Part < 0 || s.Part >= b.TicksPerQuantum || s.TAT > buckets.MaxTicks {
			t.Fatalf("%d ticks used at %d are stored as %+v", used, now, s)
		}
		if got := b.Used(s, now); got != used {
			t.Fatalf("%d ticks used came back as %d from %+v", used, got, s)
		}
		quanta := rapid.Int64Range(0, min(used/b.TicksPerQuantum, (math.MaxInt64-now)/b.Quantum-1)).Draw(t, "quanta")
		if got := b.Used(s, now+quanta*b.Quantum); got != used-quanta*b.TicksPerQuantum {
			t.Fatalf("%d ticks used are %d after %d quanta of %d", used, got, quanta, b.TicksPerQuantum)
		}
	})
}

// TestFullBucketMayBeForgotten: at FullAt nothing is owed, and FullAt does not
// wrap around for buckets that take longer than 292,000 years to fill.
func TestFullBucketMayBeForgotten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := compiled.Draw(t, "bucket")
		used, now := levels(b).Draw(t, "used"), instants.Draw(t, "now")
		s := b.State(used, now)
		full := s.FullAt()
		if full <= now {
			t.Fatalf("%d ticks used at %d are forgotten at %d", used, now, full)
		}
		if got := b.Used(s, full); got != 0 && full != math.MaxInt64 {
			t.Fatalf("%d ticks used at %d are still %d when it is full, at %d", used, now, got, full)
		}
	})
}

// TestClockBackEmptiesAtMost: whatever the clock does, a level is between full
// and empty, and never lower than it was at a later instant.
func TestClockBackEmptiesAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := compiled.Draw(t, "bucket")
		used, now := levels(b).Draw(t, "used"), instants.Draw(t, "now")
		s := b.State(used, now)
		back := b.Used(s, rapid.Int64Range(0, now).Draw(t, "then"))
		if back < used || back > b.Full() {
			t.Fatalf("%d ticks used of %d became %d when the clock went back", used, b.Full(), back)
		}
	})
}

// TestChangedRateCarriesTokens: ceil(used * P_new / P_old), at most empty.
func TestChangedRateCarriesTokens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := compiled.Draw(t, "before"), compiled.Draw(t, "after")
		used, now := levels(before).Draw(t, "used"), instants.Draw(t, "now")
		want, rest := new(big.Int).QuoRem(product(used, after.TicksPerToken), integer(before.TicksPerToken), new(big.Int))
		if rest.Sign() > 0 {
			want.Add(want, integer(1))
		}
		if want.Cmp(integer(after.Full())) > 0 {
			want.SetInt64(after.Full())
		}
		if got := after.Used(before.State(used, now), now); want.Cmp(integer(got)) != 0 {
			t.Fatalf("%d ticks used became %d, want %v", used, got, want)
		}
	})
}

// TestRefillIsRoundedUpToAQuantum: it is the first quantum at whose end the
// ticks are there.
func TestRefillIsRoundedUpToAQuantum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := compiled.Draw(t, "bucket")
		ticks := rapid.Int64Range(1, 2*b.Full()).Draw(t, "ticks")
		got := b.Refill(ticks)
		if got == math.MaxInt64 {
			if product(ticks/b.TicksPerQuantum+1, b.Quantum, 1000).Cmp(integer(math.MaxInt64)) <= 0 {
				t.Fatalf("%d ticks fit a duration", ticks)
			}
			return
		}
		quanta := got.Microseconds() / b.Quantum
		enough, before := product(quanta, b.TicksPerQuantum), product(quanta-1, b.TicksPerQuantum)
		if got.Microseconds()%b.Quantum != 0 || enough.Cmp(integer(ticks)) < 0 || before.Cmp(integer(ticks)) >= 0 {
			t.Fatalf("%d ticks take %v, which is %d quanta of %d ticks", ticks, got, quanta, b.TicksPerQuantum)
		}
	})
	if b := (buckets.TokenBucket{Capacity: 1, TicksPerToken: 1, TicksPerQuantum: 1, Quantum: 1}); b.Refill(0) != 0 || b.Refill(-5) != 0 {
		t.Error("nothing takes time to refill")
	}
}

// TestRemainingIsWholeTokens: a token that is not whole yet does not count.
func TestRemainingIsWholeTokens(t *testing.T) {
	b, err := buckets.NewTokenBucket(10, time.Second, 100)
	if err != nil {
		t.Fatal(err)
	}
	for used, want := range map[int64]int64{0: 100, 1: 99, b.TicksPerToken: 99, b.TicksPerToken + 1: 98, b.Full() - 1: 0, b.Full(): 0} {
		if got := b.Remaining(used); got != want {
			t.Errorf("%d remain with %d ticks used, want %d", got, used, want)
		}
	}
}
