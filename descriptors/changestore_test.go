package descriptors

import (
	"testing"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// What a change makes of a bucket is the same in every store: of one that is used
// up only what the change adds passes, a block lets nothing pass, and undone, all
// is as used as before.
func TestC07_EveryStoreCarriesWhatIsUsed(t *testing.T) {
	carries := func(t *testing.T, store buckets.Store) {
		for _, kind := range []struct{ limit, larger string }{
			{"{name: x, rate: 10/day, algorithm: token_bucket}", `{"limit":"x","rate":"20/day"}`},
			{"{name: x, rate: 10/day, algorithm: fixed_window}", `{"limit":"x","rate":"20/day"}`},
			{"{name: x, rate: 10/day, algorithm: sliding_window}", `{"limit":"x","rate":"20/day"}`},
			{"{name: x, algorithm: concurrency, slots: 10}", `{"limit":"x","slots":20}`},
		} {
			s, c := sourceOf(t, "domain: llm\ndescriptors: [{key: user, limits: ["+kind.limit+"]}]\n"), &clocked{Store: store}
			for _, step := range []struct {
				change string
				passes int
			}{
				{"", 10},
				{kind.larger, 10},
				{`{"limit":"x","blocked":true,"for":{"user":"a"}}`, 0},
				{`{"limit":"x","unlimited":true,"for":{"user":"b"}}`, 0},
				{"", 0},
			} {
				if set(t, s); step.change != "" {
					set(t, s, step.change)
				}
				passed := 0
				for ok := true; ok && passed < 100; passed++ {
					ok, _ = c.take(t, s.Rules(), "user=a", 1)
				}
				if passed--; passed != step.passes {
					t.Errorf("%s, %q: %d passed, want %d", kind.limit, step.change, passed, step.passes)
				}
			}
		}
	}
	t.Run("memory", func(t *testing.T) { carries(t, memory.New(memory.Options{})) })
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(part.String(), func(t *testing.T) {
			store, err := redis.Open(partstest.Redis(t, part).URL)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = store.Close() })
			carries(t, store)
		})
	}
}
