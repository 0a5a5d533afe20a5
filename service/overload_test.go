package service

import (
	"context"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
)

const overloadRules = `
domain: d
descriptors:
  - {key: user, limits: [{name: per-user, rate: 3/day}]}
  - {key: other, limits: [{name: other, rate: 3/day}]}
  - {key: slots, limits: [{name: slots, algorithm: concurrency, slots: 1, slot_ttl: 60s}]}
  - {key: queue, limits: [{name: queue, rate: 1/s, burst: 1, max_wait: 1m, max_waiters: 1000}]}
`

// yields asks what is beyond a bound under both verdicts, and expects the verdict and
// the count. A request of the same kind within the bound must be judged.
func (w *world) yields(bound Bound, beyond, inside *rls.RateLimitRequest) {
	w.t.Helper()
	for _, c := range []struct {
		allow bool
		want  rls.RateLimitResponse_Code
	}{{false, rls.RateLimitResponse_OVER_LIMIT}, {true, rls.RateLimitResponse_OK}} {
		w.options.AllowExcess = c.allow
		before := w.counted("excess " + bound.String())
		answer := w.ask(beyond) // which fails at an error
		if answer.OverallCode != c.want {
			w.t.Errorf("%s: %v with allow %v", bound, answer.OverallCode, c.allow)
		}
		for _, s := range answer.Statuses {
			if s.Code != c.want {
				w.t.Errorf("%s: a status of %v, want %v", bound, s.Code, c.want)
			}
		}
		if got := w.counted("excess "+bound.String()) - before; got != 1 {
			w.t.Errorf("%s: counted %d times, want once: %v", bound, got, w.observed)
		}
		if tokens := w.counted("d per-user tokens"); tokens != 0 {
			w.t.Errorf("%s: %d tokens taken of a request that was not judged", bound, tokens)
		}
	}
	counted := w.counted("excess")
	if w.ask(inside); w.counted("excess") != counted {
		w.t.Errorf("%s: a request within the bound is beyond one: %v", bound, w.observed)
	}
}

// ofEntries is a request with one descriptor of so many entries.
func ofEntries(n int) *rls.RateLimitRequest {
	return request(strings.TrimSuffix(strings.Repeat("user=u,", n), ","))
}

func TestBound_MaxDescriptors(t *testing.T) {
	many := func(n int) *rls.RateLimitRequest { return request(slices.Repeat([]string{"user=u"}, n)...) }
	w := newWorld(t, overloadRules)
	w.options.Bounds.Descriptors = 3
	w.yields(DescriptorsBound, many(4), many(3))
	if answer := w.ask(many(4)); len(answer.Statuses) != 0 {
		t.Errorf("%d statuses: a caller makes the answer large", len(answer.Statuses))
	}
}

func TestBound_MaxEntries(t *testing.T) {
	w := newWorld(t, overloadRules)
	w.options.Bounds.Entries = 3
	w.yields(EntriesBound, ofEntries(4), ofEntries(3))
	w.ask(ofEntries(100_000))
	var c call
	c.bounds = &w.options.Bounds
	if err := c.read(wireOf(t, ofEntries(100_000))); err != nil || len(c.request.Descriptors[0].Entries) != 3 {
		t.Errorf("%v, %d entries kept of 100,000", err, len(c.request.Descriptors[0].Entries))
	}
}

func TestBound_MaxKeyBytes(t *testing.T) {
	of := func(n int) *rls.RateLimitRequest { return request(strings.Repeat("k", n) + "=v") }
	newWorld(t, overloadRules).yields(KeyBound, of(4097), of(4096))
}

func TestBound_MaxValueBytes(t *testing.T) {
	of := func(n int) *rls.RateLimitRequest { return request("user=" + strings.Repeat("v", n)) }
	newWorld(t, overloadRules).yields(ValueBound, of(64<<10+1), of(64<<10))
}

func TestBound_MaxMessageBytes(t *testing.T) {
	w := newWorld(t, overloadRules)
	small := request("user=u")
	w.options.Bounds.MessageBytes = proto.Size(small)
	w.yields(MessageBound, request("user=uu"), small)
}

// A step of the store judges so many limits. That is no setting: it is what the two
// stores agree on.
func TestBound_Limits(t *testing.T) {
	of := func(n int) *rls.RateLimitRequest { return request(slices.Repeat([]string{"user=u"}, n)...) }
	newWorld(t, overloadRules).yields(LimitsBound, of(buckets.MaxCharges+1), of(buckets.MaxCharges))
}

// stuck is a store that does not answer who asks until it is opened, and all others
// at once. No real one can do that on demand.
type stuck struct {
	buckets.Store
	open chan struct{}
}

func (s stuck) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	if slices.ContainsFunc(charges, func(c buckets.Charge) bool { return c.Asks() }) {
		select {
		case <-s.open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Store.Take(ctx, charges)
}

// overloaded is a world in which as many calls as may be are stuck at the store.
func overloaded(t *testing.T, calls int) (w *world, recover func()) {
	w = newWorld(t, overloadRules)
	w.options.Bounds.InFlight = calls
	store := stuck{memory.New(memory.Options{}), make(chan struct{})}
	w.use(store)
	var under sync.WaitGroup
	for range calls {
		under.Go(func() { w.ask(request("other=o")) })
	}
	synctest.Wait()
	return w, func() {
		close(store.open)
		under.Wait()
	}
}

// Who comes beyond the bound is answered in no time, and told to return; when the
// overload is over everything is judged again.
func TestBound_MaxInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, recover := overloaded(t, 5)
		start := time.Now()
		for range 10_000 {
			answer := w.ask(request("user=u"))
			if answer.OverallCode != rls.RateLimitResponse_OVER_LIMIT || headersOf(answer)["Retry-After"] != "1" || len(answer.Statuses) != 1 {
				t.Fatalf("%v", answer)
			}
			if reason := answer.DynamicMetadata.Fields["reason"].GetStringValue(); reason != "overload" {
				t.Fatalf("the reason is %q", reason)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("10,000 calls that were shed took %v", took)
		}
		if w.counted("excess in_flight") != 10_000 {
			t.Errorf("%v", w.observed)
		}
		w.options.AllowExcess = true
		if !w.admits("user=u") {
			t.Error("on_excess: allow refused")
		}
		w.options.AllowExcess = false
		recover()
		if got := w.counted("d other tokens"); got != 3 {
			t.Errorf("%d tokens taken by the five that were stuck, want 3", got)
		}
		if calls, bytes := w.load.calls.Load(), w.load.bytes.Load(); calls != 0 || bytes != 0 {
			t.Errorf("%d calls and %d bytes are left under way", calls, bytes)
		}
		if !w.admits("user=u") {
			t.Error("refused when nothing is under way any more")
		}
	})
}

// Those who wait are not judged meanwhile: a queue of them must not shed the others.
// They have a bound of their own.
func TestWhoWaitsIsNotInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, overloadRules)
		w.options.Bounds.InFlight = 1
		w.use(memory.New(memory.Options{}))
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { w.ask(request("queue=q")) })
			synctest.Wait() // one after another: two at once would be beyond the bound
		}
		if !w.admits("user=u") || w.counted("excess") != 0 {
			t.Errorf("shed while 20 wait: %v", w.observed)
		}
		all.Wait()
		if got, calls := w.counted("d queue tokens"), w.load.calls.Load(); got != 20 || calls != 0 {
			t.Errorf("%d of 20 got their token, %d calls are left under way", got, calls)
		}
	})
}

// What waits holds its text, so its bytes count until it is answered.
func TestBound_MaxInFlightBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := request("queue="+strings.Repeat("q", 1000), "queue=q")
		w := newWorld(t, overloadRules)
		w.options.Bounds.InFlightBytes = 2*proto.Size(large) + 100
		w.use(memory.New(memory.Options{}))
		w.ask(large)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { w.ask(large) })
		}
		synctest.Wait()
		w.yields(InFlightBytesBound, request("user="+strings.Repeat("u", 200)), request("user=u"))
		all.Wait()
		if bytes := w.load.bytes.Load(); bytes != 0 || w.counted("d queue waited") != 4 {
			t.Errorf("%d bytes are left under way; %v", bytes, w.observed)
		}
		w.options.AllowExcess = false
		if w.ask(request("user=" + strings.Repeat("u", 200))); w.counted("excess") != 2 {
			t.Errorf("shed when nothing waits any more: %v", w.observed)
		}
	})
}

// Slots that are not given back and costs that are not charged would outlast the
// overload: whatever settles is done, also beside what is shed, and if the request
// itself is too large to be judged.
func TestOverload_NeverShedsASettlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, overloadRules)
		w.use(memory.New(memory.Options{}))
		w.options.Now = time.Now
		receipt := w.take("slots=s")
		end := func(texts ...string) *rls.RateLimitRequest { return request(texts...) }
		back := func(texts ...string) *rls.RateLimitRequest {
			r := request(texts...)
			r.Descriptors[0].IsNegativeHits = true
			return r
		}
		w.options.Bounds.InFlight, w.options.Bounds.InFlightBytes = -1, -1 // everything is shed
		if w.admits("user=u") {
			t.Fatal("nothing is shed")
		}
		redeem := request("weir.receipt=" + receipt)
		redeem.Descriptors[0].HitsAddend = wrapperspb.UInt64(200)
		for _, c := range []struct {
			name    string
			ask     *rls.RateLimitRequest
			passes  bool
			counted string
		}{
			{"a receipt", redeem, true, "receipt redeemed"},
			{"a refund", back("user=u"), true, "d per-user refunded"},
			{"the end of a stream", end("user=u,weir.end=1"), true, "d per-user settled"},
			{"a refund beside what asks", back("user=u", "user=u"), false, "d per-user refunded"},
			{"the end of a stream beside what asks", end("user=u,weir.end=1", "user=u"), false, "d per-user settled"},
			{"a receipt beside what asks", request("weir.receipt="+receipt, "user=u"), false, "receipt redeemed"},
			{"a refund that is too large", back("user=u", "user="+strings.Repeat("u", 100<<10)), false, "d per-user refunded"},
			{"a refund of more limits than are judged", back(slices.Repeat([]string{"user=u"}, 20)...), false, "d per-user refunded"},
		} {
			before := w.counted(c.counted)
			answer := w.ask(c.ask)
			if passes := answer.OverallCode == rls.RateLimitResponse_OK; passes != c.passes {
				t.Errorf("%s: passes is %v", c.name, passes)
			}
			if w.counted(c.counted) != before+1 {
				t.Errorf("%s is shed: %v", c.name, w.observed)
			}
		}
		w.options.Bounds.InFlight, w.options.Bounds.InFlightBytes = math.MaxInt, math.MaxInt
		if !w.admits("slots=s") {
			t.Error("the slot is not given back")
		}
		limits := w.counted("excess limits")
		all := request(slices.Repeat([]string{"user=u"}, 20)...)
		for _, d := range all.Descriptors {
			d.IsNegativeHits = true
		}
		before := w.counted("d per-user refunded")
		if w.ask(all); w.counted("d per-user refunded") != before+20 || w.counted("excess limits") != limits+1 {
			t.Errorf("of 20 refunds in one request, more than one step takes, not all were done: %v", w.observed)
		}
	})
}

// Calls that are stuck hold their text. Whatever else comes is answered and forgotten.
func TestOverload_MemoryStaysBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound, calls, value = 8 << 20, 3000, 60 << 10 // 176 MiB come
		w := newWorld(t, overloadRules)
		w.options.Bounds.InFlightBytes = bound
		store := stuck{memory.New(memory.Options{}), make(chan struct{})}
		w.use(store)
		wire := wireOf(t, request("user="+strings.Repeat("u", value)))
		before := heap()
		var all sync.WaitGroup
		for range calls {
			all.Go(func() {
				if _, err := w.callWire(t.Context(), wire); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		grown, stuckAtStore := heap()-before, int(w.load.calls.Load())
		if most := bound / value; w.counted("excess in_flight_bytes") != calls-stuckAtStore || stuckAtStore > most || stuckAtStore < most-5 {
			t.Errorf("%d calls are stuck, %d shed of %d", stuckAtStore, w.counted("excess in_flight_bytes"), calls)
		}
		if t.Logf("the heap has grown by %.1f MiB", float64(grown)/(1<<20)); grown > bound+bound/2 {
			t.Errorf("the heap has grown by %d bytes, with %d in flight", grown, bound)
		}
		close(store.open)
		all.Wait()
	})
}

// heap is how many bytes live.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // empties the pools
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
