package e2e

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// A soak of ten minutes is make soak; make test has a short one.
var soakLength = flag.Duration("soak", 10*time.Second, "how long TestSoak lasts")

// soaked is a weir under load of all kinds.
type soaked struct {
	*testing.T
	store        string
	top          topology // the rule file
	weir         *parts.WeirProcess
	client       rls.RateLimitServiceClient
	certificates *certificates
	redis        *parts.Redis // nil for the one on memory; another one after each restart
	redisAddr    string
	away         atomic.Bool // Redis is restarted now
	done, failed atomic.Int64
}

// Under load of all kinds, with rules, limits and certificates that change and a Redis that
// is restarted, nobody is told an error, and neither memory nor goroutines nor open files
// nor the keys in Redis grow.
func TestSoak(t *testing.T) {
	for _, store := range []string{"memory", "redis"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newSoaked(t, store)
			s.endures(*soakLength).judge(s, *soakLength)
			if s.redis != nil {
				s.expires()
			}
			if s.failed.Load() > 0 || s.done.Load() < int64(soakLength.Seconds())*100 {
				t.Errorf("%d of %d calls failed", s.failed.Load(), s.done.Load())
			}
			if n := metricOf(t, s.weir, "weir_panics_total"); n != 0 {
				t.Errorf("%d handlers panicked", n)
			}
			if err := s.weir.Stop(); err != nil || s.weir.Wait() != nil {
				t.Errorf("weir ends with %v, %v", err, s.weir.Wait())
			}
		})
	}
}

func newSoaked(t *testing.T, store string) *soaked {
	s := &soaked{T: t, store: store, certificates: newCertificates(t)}
	s.top.rulesFile = t.TempDir() + "/rules.yaml"
	s.top.write(t, fmt.Sprintf(soakRules, 50, 1000))
	args := []string{
		"--rules", s.top.rulesFile, "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--drain-delay", "0s",
		"--grpc-cert", s.certificates.cert, "--grpc-key", s.certificates.key, "--store", store,
	}
	if store == "redis" {
		s.redis = partstest.Redis(t, parts.RedisServer)
		s.redisAddr = s.redis.Addr
		args = append(args, "--redis-url", s.redis.URL)
	} else {
		args = append(args, "--state-dir", t.TempDir())
	}
	s.weir = partstest.Weir(t, weirBinary, args...)
	conn, err := s.certificates.dial(s.weir.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.client = rls.NewRateLimitServiceClient(conn)
	return s
}

// endures loads the weir for a time, and measures it meanwhile.
func (s *soaked) endures(length time.Duration) *figures {
	ctx, cancel := context.WithTimeout(s.Context(), length)
	defer cancel()
	var load sync.WaitGroup
	for _, kind := range soakKinds {
		load.Go(func() { s.often(ctx, kind) })
	}
	reload := 0
	load.Go(func() {
		s.every(ctx, time.Second, func() {
			reload++
			s.top.write(s.T, fmt.Sprintf(soakRules, 50+reload%10, 1000+reload%3))
		})
	})
	load.Go(func() {
		s.every(ctx, min(10*time.Second, length/5), func() {
			if err := s.certificates.replace(func() {}); err != nil {
				s.Error(err)
			}
		})
	})
	if s.redis != nil {
		early, cancel := context.WithTimeout(ctx, length*4/5) // what is in Redis at the end is looked at
		defer cancel()
		load.Go(func() { s.every(early, min(time.Minute, length/3), s.restarts) })
	}
	all := &figures{}
	load.Go(func() { s.every(ctx, min(time.Second, length/80), func() { all.add(s) }) })
	load.Go(func() { s.every(ctx, 30*time.Second, func() { all.print(s) }) })
	load.Wait()
	all.print(s)
	return all
}

// every does something again and again.
func (s *soaked) every(ctx context.Context, period time.Duration, do func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// often does something of a kind at its rate, at most so many at once as it is done in half
// a second.
func (s *soaked) often(ctx context.Context, kind soakKind) {
	var calls sync.WaitGroup
	defer calls.Wait()
	atOnce := make(chan struct{}, max(kind.perSecond/2, 2))
	n := 0
	s.every(ctx, time.Second/time.Duration(kind.perSecond), func() {
		select {
		case atOnce <- struct{}{}:
		default:
			return
		}
		n++
		calls.Go(func() {
			defer func() { <-atOnce }()
			s.done.Add(1)
			if err := kind.do(s, n); err != nil && s.failed.Add(1) <= 10 {
				s.Errorf("%s: %v", kind.name, err)
			}
		})
	})
}

// restarts kills Redis and starts it again, empty, at its address.
func (s *soaked) restarts() {
	s.away.Store(true)
	if err := s.redis.Kill(); err != nil {
		s.Log(err)
	}
	time.Sleep(min(2*time.Second, *soakLength/20))
	redis, err := parts.StartRedisAt(partstest.Binary(s.T, parts.RedisServer), s.redisAddr)
	if err != nil {
		s.Error(err)
		return
	}
	s.Cleanup(func() {
		if err := redis.Stop(); err != nil {
			s.Error(err)
		}
	})
	s.redis = redis
	s.away.Store(false)
}

// expires asserts that each bucket in Redis will be forgotten, and within a minute unless
// its window is longer. Only what was set may be kept for ever, and the key of receipts.
func (s *soaked) expires() {
	isKept := regexp.MustCompile(`^(\{weir:(live|sizes)\}:(version|journal|values)|weir:receipt-key)$`)
	isLong := regexp.MustCompile(`^weir:|:(month|service)=`) // a month, an hour, and what replicas agree on
	admin := partstest.Admin(s.T, s.redis)
	seen := 0
	keys := admin.Scan(s.Context(), 0, "*", 1000).Iterator()
	for keys.Next(s.Context()) {
		seen++
		ttl := admin.TTL(s.Context(), keys.Val()).Val()
		if ttl == -1 && !isKept.MatchString(keys.Val()) || ttl > time.Minute && !isLong.MatchString(keys.Val()) {
			s.Errorf("%q is kept for %v", keys.Val(), ttl)
		}
	}
	if err := keys.Err(); err != nil || seen == 0 {
		s.Errorf("%d keys in Redis, %v", seen, err)
	}
}
