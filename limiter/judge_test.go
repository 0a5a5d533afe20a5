package limiter_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/limiter"
)

// numbers are what a call states.
type numbers struct {
	capacity, tokens, requested int64
	period                      time.Duration
}

func (n numbers) options() []limiter.Option {
	return []limiter.Option{limiter.WithCapacity(n.capacity), limiter.WithRatePer(n.tokens, n.period), limiter.WithRequested(n.requested)}
}

func drawNumbers(t *rapid.T) numbers {
	return numbers{
		capacity:  rapid.Int64Range(1, 20).Draw(t, "capacity"),
		tokens:    rapid.Int64Range(1, 13).Draw(t, "tokens"),
		requested: rapid.Int64Range(0, 22).Draw(t, "requested"),
		period:    rapid.SampledFrom([]time.Duration{time.Millisecond, 700 * time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "period"),
	}
}

// step is a call some time after the one before.
type step struct {
	micros int64
	key    string
	numbers
}

func drawStep(t *rapid.T) step {
	return step{
		micros:  rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 5_000_000)).Draw(t, "micros"),
		key:     rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"),
		numbers: drawNumbers(t),
	}
}

// M-11, M-15: whatever is asked in whatever order, of a few keys with numbers that
// change, the answers are those of the reference.
func TestM15_AnswersAreTheReferences(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 60).Draw(r, "steps")
		fault := ""
		synctest.Test(t, func(t *testing.T) {
			l := open(t, limiter.Options{})
			states := map[string]*buckets.State{"a": {}, "b": {}, "c": {}}
			for i, s := range steps {
				elapse(time.Duration(s.micros) * time.Microsecond)
				got, err := l.Decide(t.Context(), s.key, s.options()...)
				want, errWant := reference(s.numbers, states[s.key])
				if err != nil || errWant != nil || got != want {
					fault = fmt.Sprintf("step %d is told %+v, %v, want %+v, %v", i, got, err, want, errWant)
					return
				}
			}
		})
		if fault != "" {
			r.Fatal(fault)
		}
	})
}

func reference(n numbers, s *buckets.State) (limiter.Decision, error) {
	b, err := buckets.Terms{Tokens: n.tokens, Period: n.period, Capacity: n.capacity, MaxWait: limiter.MaxWait}.TokenBucket()
	if err != nil {
		return limiter.Decision{}, err
	}
	charge := buckets.Charge{Key: "k", Bucket: b, Cost: n.requested}
	o := buckets.Judge([]buckets.Charge{charge}, []*buckets.State{s}, []*buckets.State{nil}, time.Now().UnixMicro())[0]
	d := limiter.Decision{Allowed: o.Admitted, Remaining: b.Remaining(o.Used), Reset: o.Reset}
	if !o.Admitted {
		d.RetryAfter = o.Delay
	}
	return d, nil
}

// N4: two stores that count by different rules disagree. What Redis and memory say
// of tokens is the same, call by call; nothing comes back while the test runs.
func TestN4_M11_EveryStoreGivesTheSameAnswers(t *testing.T) {
	onStores(t, func(t *testing.T, l, other *limiter.Limiter) {
		memory, run := open(t, limiter.Options{}), 0
		rapid.Check(t, func(r *rapid.T) {
			key := "run " + string(rune(0x4e00+run))
			run++
			for range rapid.IntRange(1, 12).Draw(r, "calls") {
				n := drawNumbers(r)
				n.period = 1000 * day
				from := []*limiter.Limiter{l, other}[rapid.IntRange(0, 1).Draw(r, "process")]
				got, err := from.Decide(t.Context(), key, n.options()...)
				want, errMemory := memory.Decide(t.Context(), key, n.options()...)
				if err != nil || errMemory != nil {
					r.Fatal(err, errMemory)
				}
				if got.Allowed != want.Allowed || got.Remaining != want.Remaining || (got.RetryAfter > 0) != (want.RetryAfter > 0) {
					r.Fatalf("%+v is told %+v, in memory %+v", n, got, want)
				}
			}
		})
	})
}

// Two keys are two buckets, whatever is in them: a hash as well, that somebody makes
// of another's long key.
func TestTwoKeysNeverShareABucket(t *testing.T) {
	l := open(t, limiter.Options{})
	opts := []limiter.Option{limiter.WithCapacity(1), limiter.WithRatePer(1, 1000*day)}
	long := strings.Repeat("k", 300)
	sum := sha256.Sum256([]byte(long))
	hash := base64.RawURLEncoding.EncodeToString(sum[:])
	for _, key := range []string{long, hash, "#" + hash} {
		if !allow(t, l, key, opts...) {
			t.Errorf("the key %q has another's bucket", key)
		}
	}
	seen := map[string]bool{}
	rapid.Check(t, func(r *rapid.T) {
		key := rapid.OneOf(
			rapid.StringOf(rapid.SampledFrom([]rune{'a', '#', ':', '{', '}', 0, ' '})),
			rapid.StringMatching(`a{250,300}[ab]{0,2}`),
			rapid.StringMatching(`#[A-Za-z0-9_-]{43}`),
		).Draw(r, "key")
		if got := allow(t, l, key, opts...); got == seen[key] {
			r.Fatalf("the key %q is allowed %v, asked before %v", key, got, seen[key])
		}
		seen[key] = true
	})
}
