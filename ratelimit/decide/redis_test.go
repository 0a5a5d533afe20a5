package decide

import (
	"context"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// The same on a real Redis, on its own clock. Without the local cache, which is on the
// clock of the process: the two may be on different sides of a window's end.
func TestRedis_AsTheReferenceService(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	store, err := redis.Open("redis://" + server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	admin := partstest.Admin(t, server)
	const trees = 300
	for n := range trees / treesInBatch {
		b := newBatch(uint64(n))
		b.settings.cache = false
		dated := &dated{Store: store}
		b.serve(t, func(o *Options) {
			b.change(o)
			if o.Store = dated; o.PerSecond != nil {
				o.PerSecond = dated
			}
		})
		b.instant = dated.instant
		b.run(t)
		if err := admin.FlushAll(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// dated is a store of which the instant of the last request's calls is known.
type dated struct {
	buckets.Store
	first, last int64 // microseconds since the epoch; 0: there was none
}

func (d *dated) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	outcomes, err := d.Store.Take(ctx, charges)
	if err == nil {
		if d.last = outcomes[0].Now; d.first == 0 {
			d.first = d.last
		}
	}
	return outcomes, err
}

// instant is when the calls were judged; one is false if a window may have ended between
// two of them.
func (d *dated) instant() (at time.Time, one bool) {
	at, one = time.UnixMicro(d.last), d.first/1e6 == d.last/1e6
	d.first = 0
	return at, one
}
