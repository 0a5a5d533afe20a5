package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/internal/bench"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// The fleet to which faults happen, and its limits: one of each algorithm.
const (
	chaosReplicas = 3
	chaosBurst    = 300
	chaosRate     = 100                    // tokens a second
	chaosTimeout  = 250 * time.Millisecond // a busy machine alone is no fault
	chaosAsk      = 150                    // requests a second of each limit, to each replica
	chaosRules    = `
domain: d
descriptors:
  - {key: token, limits: [{rate: 100/s, burst: 300, lease: off}]}
  - {key: fixed, limits: [{rate: 300/year, algorithm: fixed_window}]}
  - {key: sliding, limits: [{rate: 300/hour, algorithm: sliding_window}]}
  - {key: slots, limits: [{algorithm: concurrency, slots: 300, slot_ttl: 1h}]}
`
)

var chaosLimits = []string{"token", "fixed", "sliding", "slots"}

// chaos is a fleet on one Redis, which each replica reaches on a way of its own.
type chaos struct {
	*testing.T
	redis    *parts.Redis
	dir      string // of its append-only file
	admin    *goredis.Client
	ways     []*partstest.Faulty
	replicas []*parts.WeirProcess
}

// fault is what happens to the fleet for a while, and what it may add to what the limits
// say, in tokens: of a token bucket, of windows, of slots.
type fault struct {
	name                    string
	strike, heal            func(c *chaos) // heal may be nil
	lasts                   time.Duration
	addsToken, adds, addsOf float64
	isOutage                bool // replicas go on without the store, and are back when they ask it again
}

func newChaos(t *testing.T) *chaos {
	c := &chaos{T: t, dir: t.TempDir()}
	c.redis = partstest.Redis(t, parts.RedisServer, c.redisArgs()...)
	c.admin = partstest.Admin(t, c.redis)
	for range chaosReplicas {
		way := partstest.Way(t, c.redis.Addr)
		c.ways = append(c.ways, way)
		c.replicas = append(c.replicas, partstest.Weir(t, weirBinary, direct(t, chaosRules, "--store", "redis", "--redis-url", "redis://"+way.Addr, "--store-timeout", chaosTimeout.String())...))
	}
	return c
}

func (c *chaos) redisArgs() []string {
	return []string{"--appendonly", "yes", "--appendfsync", "everysec", "--dir", c.dir, "--enable-debug-command", "local"}
}

// restart starts Redis again where it was, with what its directory holds.
func (c *chaos) restart() {
	c.Helper()
	redis, err := parts.StartRedisAt(partstest.Binary(c.T, parts.RedisServer), c.redis.Addr, c.redisArgs()...)
	if err != nil {
		c.Error(err)
		return
	}
	c.redis = redis
	c.Cleanup(func() {
		if err := redis.Stop(); err != nil {
			c.Error(err)
		}
	})
}

// whole waits until all replicas ask the store and know of each other.
func (c *chaos) whole() {
	c.Helper()
	for _, replica := range c.replicas {
		eventually(c.T, "the fleet is whole", func() bool {
			return metricOf(c.T, replica, "weir_store_up") == 1 && metricOf(c.T, replica, "weir_replicas") == chaosReplicas
		})
	}
}

// verdicts are what became of the requests of one limit.
type verdicts struct {
	admitted, refused int64
	errors            map[string]int64
}

// happens lets the fault happen under load, and holds what was admitted against the bound.
func (c *chaos) happens(f fault) {
	c.Run(f.name, func(t *testing.T) {
		c.whole()
		failed := c.storeErrors()
		begun := time.Now()
		results, ended := c.storm(t, strings.ReplaceAll(f.name, " ", "-"), f.lasts+2500*time.Millisecond)
		time.Sleep(time.Second) // until the limits are used up, or nearly
		f.strike(c)
		time.Sleep(f.lasts)
		if f.heal != nil {
			f.heal(c)
		}
		healed := time.Now()
		back := time.Duration(0)
		if f.isOutage {
			for _, replica := range c.replicas {
				eventually(t, "the store is asked again", func() bool { return metricOf(t, replica, "weir_store_up") == 1 })
			}
			back = time.Since(healed)
			if back > 2*time.Second {
				t.Errorf("the store was asked again %v after it was back, want at most 2 s", back)
			}
		}
		ended()
		took := time.Since(begun).Seconds()
		for _, limit := range chaosLimits {
			got := results[limit]
			bound := float64(chaosBurst)
			switch limit {
			case "token":
				bound += chaosRate*took + f.addsToken
			case "slots":
				bound += f.addsOf
			default:
				bound += f.adds
			}
			if float64(got.admitted) > bound || got.refused == 0 {
				t.Errorf("%s: %d admitted and %d refused, want at most %.0f admitted", limit, got.admitted, got.refused, bound)
			}
			if least := int64(chaosBurst) / 2; got.admitted < least {
				t.Errorf("%s: only %d admitted", limit, got.admitted)
			}
			if len(got.errors) > 0 {
				t.Errorf("%s: clients were told %v", limit, got.errors)
			}
			partstest.Chaos(t, f.name, limit, got.admitted, int64(bound), sum(got.errors), back)
		}
		if failures := c.storeErrors(); failures != failed {
			t.Logf("calls that the store failed went from %v to %v", failed, failures)
		}
		for _, replica := range c.replicas {
			if metricOf(t, replica, "weir_panics_total") != 0 {
				t.Error("a handler panicked")
			}
		}
	})
}

// storm asks all replicas for keys of all limits, more than these admit, and begins to fill
// the results; wait returns when all are there.
func (c *chaos) storm(t *testing.T, value string, lasts time.Duration) (results map[string]*verdicts, wait func()) {
	results = map[string]*verdicts{}
	var mu sync.Mutex
	var loads sync.WaitGroup
	for _, limit := range chaosLimits {
		sum := &verdicts{errors: map[string]int64{}}
		results[limit] = sum
		for _, replica := range c.replicas {
			loads.Go(func() {
				report := askOften(t, replica, limit+"="+value, lasts)
				mu.Lock()
				defer mu.Unlock()
				sum.admitted += report.Verdicts["ok"]
				sum.refused += report.Verdicts["over_limit"]
				for code, n := range report.Errors {
					sum.errors[code] += n
				}
			})
		}
	}
	return results, loads.Wait
}

// storeErrors counts the calls of all replicas that the store failed: late, otherwise,
// not made.
func (c *chaos) storeErrors() (kinds [3]int) {
	for i, kind := range []string{"timeout", "error", "open"} {
		for _, replica := range c.replicas {
			kinds[i] += metricOf(c.T, replica, `weir_store_errors_total{kind="`+kind+`"}`)
		}
	}
	return kinds
}

func sum(errors map[string]int64) (n int64) {
	for _, count := range errors {
		n += count
	}
	return n
}

func askOften(t *testing.T, replica *parts.WeirProcess, descriptor string, lasts time.Duration) bench.Report {
	g, err := bench.Open(t.Context(), bench.Load{
		Target: replica.GRPC, Domain: "d", Descriptors: []string{descriptor}, Keys: 1, Distribution: bench.Uniform,
		InFlight: 32, Connections: 1, Rate: chaosAsk, Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Error(err)
		return bench.Report{}
	}
	defer g.Close()
	report, err := bench.Probe{}.Run(context.Background(), g, bench.Bound{Duration: lasts})
	if err != nil {
		t.Error(err)
	}
	return report
}

const (
	// share is what one replica may admit beside the others that reach the store.
	share = float64(chaosBurst) / chaosReplicas
	// back is what may be admitted while the replicas come back one after another.
	back = chaosBurst + 0.4*chaosRate
)

// Every fault of the store and of the ways to it that docs/explanation/reliability.md names, under
// load: what is admitted stays within its cell of the table there, clients are told no
// error, and the store is asked again within 2 s of its return.
func TestChaos_TheStoreAndTheWaysToIt(t *testing.T) {
	c := newChaos(t)
	each := func(do func(way *partstest.Faulty)) {
		for _, way := range c.ways {
			do(way)
		}
	}
	delay := func(d time.Duration) (strike, heal func(*chaos)) {
		return func(*chaos) { each(func(w *partstest.Faulty) { w.Delay(d) }) }, func(*chaos) { each(func(w *partstest.Faulty) { w.Delay(0) }) }
	}
	slow5, well := delay(5 * time.Millisecond)
	slow50, _ := delay(50 * time.Millisecond)
	slow500, _ := delay(500 * time.Millisecond)
	var cutting atomic.Bool
	for _, f := range []fault{
		{name: "none", strike: func(*chaos) {}},
		{name: "SCRIPT FLUSH", strike: func(c *chaos) {
			for range 20 {
				if err := c.admin.ScriptFlush(c.Context()).Err(); err != nil {
					c.Error(err)
				}
			}
		}},
		{name: "Redis is slow by 5 ms", strike: slow5, heal: well, lasts: time.Second},
		{name: "Redis is slow by 50 ms", strike: slow50, heal: well, lasts: time.Second},
		{name: "Redis is slow by 500 ms", strike: slow500, heal: well, lasts: time.Second, isOutage: true, addsToken: back, adds: chaosBurst, addsOf: chaosBurst},
		{
			name: "Redis stands still", lasts: time.Second, isOutage: true, addsToken: back, adds: chaosBurst, addsOf: chaosBurst,
			strike: func(c *chaos) { c.signal(syscall.SIGSTOP) }, heal: func(c *chaos) { c.signal(syscall.SIGCONT) },
		},
		{
			name: "replies are lost", lasts: time.Second, isOutage: true, addsToken: back, adds: chaosBurst, addsOf: chaosBurst,
			strike: func(*chaos) { each(func(w *partstest.Faulty) { w.Swallow(true) }) },
			heal:   func(*chaos) { each(func(w *partstest.Faulty) { w.Swallow(false); w.Cut() }) },
		},
		{
			name: "connections are cut", lasts: time.Second, addsToken: back, adds: chaosBurst, addsOf: chaosBurst,
			strike: func(*chaos) {
				cutting.Store(true)
				go func() {
					for i := 0; cutting.Load(); i++ {
						c.ways[i%len(c.ways)].Cut()
						<-time.After(20 * time.Millisecond)
					}
				}()
			},
			heal: func(*chaos) { cutting.Store(false) },
		},
		{
			name: "one replica cannot reach Redis", lasts: time.Second, isOutage: true,
			addsToken: share + chaosRate/chaosReplicas*1.4, adds: share, addsOf: share,
			strike: func(c *chaos) { c.ways[0].Close(true) }, heal: func(c *chaos) { c.ways[0].Close(false) },
		},
		{
			name: "Redis is killed and comes back from its file", lasts: time.Second, isOutage: true,
			addsToken: back + chaosRate, adds: chaosBurst, addsOf: chaosBurst,
			strike: (*chaos).kill, heal: (*chaos).restart,
		},
		{
			name: "Redis is killed and comes back empty", lasts: time.Second, isOutage: true,
			addsToken: back + chaosBurst, adds: 2 * chaosBurst, addsOf: 2 * chaosBurst,
			strike: func(c *chaos) {
				c.kill()
				if err := os.RemoveAll(filepath.Join(c.dir, "appendonlydir")); err != nil {
					c.Error(err)
				}
			},
			heal: (*chaos).restart,
		},
	} {
		c.happens(f)
	}
}

func (c *chaos) signal(s os.Signal) {
	if err := c.redis.Signal(s); err != nil {
		c.Error(err)
	}
}

func (c *chaos) kill() {
	if err := c.redis.Kill(); err != nil {
		c.Log(fmt.Sprint("the killed Redis: ", err))
	}
}
