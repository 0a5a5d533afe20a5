package decide

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/ratelimit/stats"
)

func TestCache_AnswersUntilTheWindowEnds(t *testing.T) {
	store := &counting{}
	w := newWorld(t, "domain: d\ndescriptors:\n- {key: k, rate_limit: {unit: minute, requests_per_unit: 1}}\n- {key: s, shadow_mode: true, rate_limit: {unit: minute, requests_per_unit: 0}}\n", func(o *Options) {
		store.Store = o.Store
		o.Store, o.Settings.LocalCacheBytes = store, 1<<16
	})
	w.clock.advance(20 * time.Second)
	for i, step := range []struct {
		asked string
		after time.Duration
		want  string
		calls int
	}{
		{"k=v", 0, "OK: OK 0", 1},
		{"k=v", 0, "OVER: OVER 0", 1},
		{"k=v", 0, "OVER: OVER 0", 0},
		{"k=v 0", 0, "OVER: OVER 0", 0}, // for any hits
		{"k=w", 0, "OK: OK 0", 1},
		{"s=v", 0, "OK: OK 0", 1},
		{"s=v", 0, "OK: OK 0", 0},
		{"k=v", 40*time.Second - time.Microsecond, "OVER: OVER 0", 0},
		{"k=v", time.Microsecond, "OK: OK 0", 1},
	} {
		w.clock.advance(step.after)
		before := store.calls
		if got := w.ask(t, request(step.asked)); got != step.want || store.calls-before != step.calls {
			t.Errorf("step %d: %s after %d calls, want %s after %d", i, got, store.calls-before, step.want, step.calls)
		}
	}
	k, s := w.stats.Limit("d", "k"), w.stats.Limit("d", "s")
	if n, m := k.OverLimitWithLocalCache.Value(), s.ShadowMode.Value(); n != 2 || m != 2 {
		t.Errorf("over_limit_with_local_cache is %d, shadow_mode %d", n, m)
	}
	if seen := w.cache.stats(); seen != (stats.Cache{Entries: 1, Lookups: 9, Hits: 4, Misses: 5, Expired: 1}) {
		t.Errorf("%+v", seen)
	}
	if n := w.counted(t)["ratelimit.localcache.hitCount"]; n != 4 {
		t.Errorf("hitCount is %d", n)
	}
}

// What is given back is there for who asks next.
func TestCache_ForgetsWhatWasGivenBackTo(t *testing.T) {
	w := newWorld(t, several, func(o *Options) { o.Settings.LocalCacheBytes = 1 << 16 })
	w.ask(t, request("five=v 8"))
	back := request("five=v 2")
	back.Descriptors[0].IsNegativeHits = true
	for i, want := range []string{"OK: OK 0", "OK: OK 1"} {
		if got := w.ask(t, back); got != want {
			t.Errorf("given back %d: %s, want %s", i, got, want)
		}
		if _, known := w.cache.over("{d}1:d,4:five=1:v/u:hour", 5); known != (i == 0) {
			t.Errorf("given back %d: known %v", i, known)
		}
	}
	if got := w.ask(t, request("five=v")); got != "OK: OK 0" {
		t.Error(got)
	}
}

func TestCache_HoldsSoManyBytesAndLetsTheOldestGo(t *testing.T) {
	c := newClock()
	const entry = cachedBytes + 3
	cache := newCache(3*entry, c.now)
	until := c.now().Add(time.Minute)
	known := func() (names string) {
		for _, key := range []string{"k-1", "k-2", "k-3", "k-4", "k-5"} {
			if _, ok := cache.over(key, 1); ok {
				names += key[2:]
			}
		}
		return names
	}
	for i, want := range []string{"1", "12", "123", "234", "345"} {
		if cache.keep(fmt.Sprint("k-", i+1), 2, until); known() != want {
			t.Errorf("after %d: %s, want %s", i+1, known(), want)
		}
	}
	cache.keep("k-3", 3, until.Add(time.Minute)) // it is known already
	cache.keep(strings.Repeat("k", 10*entry), 2, until)
	if cache.bytes != 3*entry || known() != "345" {
		t.Errorf("%d bytes of %s", cache.bytes, known())
	}
	cache.forget("k-4")
	cache.forget("k-4")
	if cache.bytes != 2*entry || known() != "35" {
		t.Errorf("%d bytes of %s", cache.bytes, known())
	}
	c.advance(time.Minute)
	if known() != "3" || cache.bytes != entry {
		t.Errorf("%d bytes of %s after a minute", cache.bytes, known())
	}
	cache.forget("k-3")
	if cache.keep("k-1", 2, until.Add(time.Hour)); known() != "1" || cache.bytes != entry {
		t.Errorf("%d bytes of %s", cache.bytes, known())
	}
	seen := cache.stats()
	if seen.Evacuated != 2 || seen.Overwritten != 1 || seen.Expired != 1 || seen.Entries != 1 {
		t.Errorf("%+v", seen)
	}
}

// The bytes that it counts are those that it takes, or more.
func TestCache_TakesNoMoreBytesThanItCounts(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const most = 2 << 20
	for _, length := range []int{8, 100} {
		before := heap()
		cache := newCache(most, time.Now)
		for i := range most / cachedBytes {
			cache.keep(fmt.Sprintf("%0*d", length, i), 2, time.Now())
		}
		if taken := heap() - before; taken > most {
			t.Errorf("keys of %d bytes: %d bytes of %d", length, taken, most)
		}
		runtime.KeepAlive(cache)
	}
}
