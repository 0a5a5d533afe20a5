package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// capacity is what each bucket of a steady load holds: more than a test takes.
const capacity = 1_000_000

// steady takes tokens from buckets that refill nothing, a few thousand a second, through a
// guard as weir has it, and counts what became of that while something breaks.
type steady struct {
	*testing.T
	store  *redis.Store
	guard  *guard.Guard
	bucket buckets.TokenBucket
	keys   []string

	admitted, failed []atomic.Int64 // tokens of each key that were, or may have been, taken
	calls, errors    atomic.Int64
	lastGood         atomic.Int64 // when a call was last answered well, since begun
	lastBad          atomic.Int64
	begun            time.Time

	mu   sync.Mutex
	seen map[string]error // by the word of the error

	end     context.CancelFunc
	callers sync.WaitGroup
}

// startSteady has eight callers take one token of each key in turn, and of each pair of
// neighbours if together.
func startSteady(t *testing.T, s *redis.Store, together bool, keys ...string) *steady {
	t.Helper()
	b, err := buckets.NewTokenBucket(1, 24*time.Hour, capacity)
	if err != nil {
		t.Fatal(err)
	}
	l := &steady{
		T: t, store: s, bucket: b, keys: keys, begun: time.Now(), seen: map[string]error{},
		admitted: make([]atomic.Int64, len(keys)), failed: make([]atomic.Int64, len(keys)),
	}
	l.guard = guard.New(guard.Options{
		Store: s, Local: memory.New(memory.Options{}), Timeout: 250 * time.Millisecond, Observe: func(context.Context, time.Duration, error) {}, Outage: redis.Outage,
		Probe: func(ctx context.Context) error { return l.note(s.Probe(ctx)) },
	})
	t.Cleanup(l.guard.Close)
	ctx, cancel := context.WithCancel(context.Background())
	l.end = cancel
	t.Cleanup(l.stop)
	for caller := range 8 {
		l.callers.Go(func() {
			for i := caller; ctx.Err() == nil; i++ {
				if l.take(i % len(keys)); together {
					l.take(i%len(keys), (i+1)%len(keys))
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	return l
}

// take takes one token of each of some keys.
func (l *steady) take(of ...int) {
	charges := make([]buckets.Charge, len(of))
	for i, k := range of {
		charges[i] = l.charge(k, 1)
	}
	outcomes, err := l.guard.Take(context.Background(), charges)
	l.calls.Add(1)
	if l.note(err) != nil {
		l.errors.Add(1)
		l.lastBad.Store(int64(time.Since(l.begun)))
		if len(of) == 1 && goredis.IsTryAgainError(err) {
			l.Errorf("one key alone cannot be half moved: %v", err)
		}
		for _, k := range of {
			if !refusedWhole(err) {
				l.failed[k].Add(1)
			}
		}
		return
	}
	l.lastGood.Store(int64(time.Since(l.begun)))
	for i, k := range of {
		if !outcomes[i].Admitted {
			l.Errorf("%s was refused with %d tokens used", l.keys[k], l.admitted[k].Load())
		}
		l.admitted[k].Add(1)
	}
}

func (l *steady) charge(k int, cost int64) buckets.Charge {
	return buckets.Charge{Key: l.keys[k], Bucket: l.bucket, Cost: cost, OnStoreError: buckets.Fail}
}

// refusedWhole tells of an error that proves that nothing was taken: the server's own
// word, or that it was not asked.
func refusedWhole(err error) bool {
	var answered goredis.Error
	return errors.Is(err, guard.ErrOpen) || errors.As(err, &answered)
}

func (l *steady) note(err error) error {
	if err == nil {
		return nil
	}
	word := err.Error()
	var answered goredis.Error
	if errors.As(err, &answered) {
		word, _, _ = strings.Cut(answered.Error(), " ")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.seen) < 100 {
		l.seen[word] = err
	}
	return err
}

// saw is the error that began with a word, nil: there was none.
func (l *steady) saw(word string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[word]
}

// wellSince waits until calls have been answered for 300 ms without an error, and answers
// how long after an instant the last one failed, or 0.
func (l *steady) wellSince(instant time.Time) time.Duration {
	l.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		good, bad := time.Duration(l.lastGood.Load()), time.Duration(l.lastBad.Load())
		if from := instant.Sub(l.begun); good > max(bad, from)+300*time.Millisecond {
			return max(bad-from, 0)
		}
		if time.Now().After(end) {
			l.Fatalf("calls still fail: %v", l.seen)
		}
	}
}

func (l *steady) stop() {
	l.end()
	l.callers.Wait()
}

// taken is what was admitted of each key.
func (l *steady) taken() []int64 {
	n := make([]int64, len(l.keys))
	for k := range n {
		n[k] = l.admitted[k].Load()
	}
	return n
}

// settle ends the load, takes what is left in each bucket and compares: of each key no
// more may have been admitted than it held and the store lost with the fault, and no less
// than it held without what calls took that failed. It writes the line that
// docs/explanation/reliability.md has.
func (l *steady) settle(fault string, lost []int64, recovered time.Duration) {
	l.Helper()
	l.stop()
	total, bound := int64(0), int64(0)
	for k := range l.keys {
		look := l.charge(k, 0)
		look.Mode = buckets.Look
		o, err := l.store.Take(l.Context(), []buckets.Charge{look})
		if err != nil {
			l.Fatal(err)
		}
		left := l.bucket.Remaining(o[0].Used)
		n, may := l.admitted[k].Load(), int64(capacity)
		if lost != nil {
			may += lost[k]
		}
		if n+left > may || n+left < capacity-l.failed[k].Load() {
			l.Errorf("%s: %d were admitted and %d are left, together %d: want at most %d and at least %d", l.keys[k], n, left, n+left, may, capacity-l.failed[k].Load())
		}
		total += n
		bound += may - left
	}
	partstest.Chaos(l.T, fault, "token, no guard", total, bound, l.errors.Load(), recovered)
}

// manyKeys are keys of as many hash slots.
func manyKeys(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("{chaos %d}k", i))
	}
	return keys
}
