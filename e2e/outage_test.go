package e2e

import (
	"slices"
	"syscall"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// A Redis that stands still, as in a swap storm or a stopped container, holds its
// connections open and answers nothing. Five requests in a row pay the store's deadline
// for that, and those behind them as little as with the store in memory.
func TestOutage_AStoreThatStandsStillDelaysNobody(t *testing.T) {
	const rules = "domain: d\ndescriptors: [{key: k, limits: [{rate: 100000/s}]}]"
	redis := partstest.Redis(t, parts.RedisServer)
	alone := asker(t, partstest.Weir(t, weirBinary, direct(t, rules)...))
	weir := partstest.Weir(t, weirBinary, direct(t, rules, "--store", "redis", "--redis-url", redis.URL, "--store-timeout", "10ms")...)
	shared := asker(t, weir)
	timed := func(from func()) time.Duration {
		begun := time.Now()
		from()
		return time.Since(begun)
	}
	ask := func(from func(), n int) (took []time.Duration) {
		for range n {
			took = append(took, timed(from))
		}
		slices.Sort(took)
		return took
	}
	admitted := func(answer *rls.RateLimitResponse) {
		if answer.OverallCode != rls.RateLimitResponse_OK {
			t.Errorf("%v", answer)
		}
	}
	inMemory := func() { admitted(alone("k", "v", nil)) }
	inRedis := func() { admitted(shared("k", "v", nil)) }
	ask(inMemory, 200)
	ask(inRedis, 200)

	if err := redis.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Signal(syscall.SIGCONT) })
	paid := ask(inRedis, 5)
	if paid[2] < 10*time.Millisecond || paid[2] > 25*time.Millisecond {
		t.Errorf("the first five took %v, want each the store's 10 ms", paid)
	}
	var free, usual []time.Duration
	for range 1000 { // in turn, so that a busy moment meets both
		free, usual = append(free, timed(inRedis)), append(usual, timed(inMemory))
	}
	slices.Sort(free)
	slices.Sort(usual)
	if free[500] > 2*usual[500] || free[990] > max(15*time.Millisecond, 2*usual[990]) {
		t.Errorf("half of those behind took %v, and all but a hundredth %v; from memory %v and %v", free[500], free[990], usual[500], usual[990])
	}
	if up := metricOf(t, weir, "weir_store_up"); up != 0 {
		t.Error("the store counts as up")
	}

	if err := redis.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	eventually(t, "the store is asked again", func() bool { return metricOf(t, weir, "weir_store_up") == 1 })
	if took := time.Since(back); took > 2*time.Second {
		t.Errorf("the store was asked again %v after its return", took)
	}
	ask(inRedis, 10)
	t.Logf("the first five %v; then half %v and 99 %% %v, from memory %v and %v", paid, free[500], free[990], usual[500], usual[990])
}
