package backend

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/redis"
)

// server is one Redis, or one group of servers, behind a guard.
type server struct {
	prefix   string // of its variables
	pool     string // its name in statistics
	settings Redis
	store    *redis.Store
	guard    *guard.Guard
	answers  bool // as far as the backend knows
	log      *slog.Logger
}

// open makes the store, with files that the variables of a prefix name. local is of
// limits that are judged in memory while it does not answer.
func (s *server) open(o Options, with Files, named string, local buckets.Store) error {
	s.log = o.Log.With("variables", s.prefix)
	address, err := s.settings.address(s.prefix)
	if err != nil {
		return err
	}
	wants := redis.Options{Patience: s.settings.patience(), Prefix: o.KeyPrefix}
	if strings.HasPrefix(address, "rediss:") {
		if wants.TLS, err = s.tls(with, named); err != nil {
			return err
		}
	}
	if s.settings.AuthFile != "" {
		if wants.Credentials, err = s.credentials(); err != nil {
			return err
		}
	}
	if s.store, err = redis.OpenWith(address, wants); err != nil {
		return fmt.Errorf("%sURL: %w", s.prefix, err)
	}
	s.guard = guard.New(guard.Options{
		Store: s.store, Local: local, Timeout: s.settings.call(), Observe: s.observe(), Probe: s.store.Probe, Outage: redis.Outage, Strict: true,
	})
	return nil
}

// observe logs when the Redis begins to fail and ceases to.
func (s *server) observe() func(context.Context, time.Duration, error) {
	var spell guard.Spell
	return func(_ context.Context, _ time.Duration, err error) {
		switch began, ceased := spell.Note(err); {
		case began:
			s.log.Error("Redis fails; calls that need it do, too", "error", err.Error())
		case ceased:
			s.log.Info("Redis answers again")
		}
	}
}

// greet waits until the Redis has answered, or ctx ends.
func (s *server) greet(ctx context.Context, o Options) error {
	begun, pause, most := time.Now(), cmp.Or(o.StartupFirst, defaultFirst), cmp.Or(o.StartupMost, defaultMost)
	for {
		err := s.ask(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
		pause = min(pause, most)
		wait := pause/2 + rand.N(pause/2+1)
		if o.StartupEnd > 0 {
			left := o.StartupEnd - time.Since(begun)
			if left <= 0 {
				return fmt.Errorf("%sURL: Redis has not answered within %v, which REDIS_STARTUP_MAX_ELAPSED_TIME allows: %w; %s", s.prefix, o.StartupEnd, err, s.remedy(err))
			}
			wait = min(wait, left)
		}
		s.log.Warn("Redis does not answer, and is tried again", "in", wait.Round(time.Millisecond).String(), "error", err.Error(), "remedy", s.remedy(err))
		rest(ctx, wait)
		pause *= 2
	}
	if ctx.Err() == nil {
		s.tellEviction(ctx)
	}
	return nil
}

// Pauses at the start where the settings have none.
const (
	defaultFirst = 100 * time.Millisecond
	defaultMost  = 10 * time.Second
)

// Pauses between two questions to a Redis that is watched.
const (
	watchEvery = time.Second
	watchAgain = 250 * time.Millisecond // while it does not answer
)

// watch tells how a Redis that has answered goes on.
func (s *server) watch(ctx context.Context, tell func(answers bool)) {
	for pause := watchEvery; ; {
		rest(ctx, pause)
		err := s.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err == nil && pause == watchAgain:
			s.log.Info("Redis answers again, and this service is healthy")
		case err != nil && pause == watchEvery:
			s.log.Error("Redis does not answer, and this service is not healthy until it does", "error", err.Error(), "remedy", s.remedy(err))
		}
		if pause = watchEvery; err != nil {
			pause = watchAgain
		}
		tell(err == nil)
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// ask asks whether the Redis judges and writes, with the time that a new connection needs.
func (s *server) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.patience())
	defer cancel()
	return s.store.Probe(ctx)
}

func (s *server) tellEviction(ctx context.Context) {
	policy, err := s.store.Eviction(ctx)
	if err == nil && policy != "" && policy != redis.NoEviction {
		s.log.Warn("Redis may evict counters, and an evicted one begins anew", "maxmemory_policy", policy, "remedy", "set maxmemory-policy "+redis.NoEviction)
	}
}

// remedy tells what may help where Redis cannot be used, by what its or the connection's
// error says.
func (s *server) remedy(err error) string {
	auth := s.prefix + "AUTH"
	if s.settings.AuthFile != "" {
		auth += "_FILE"
	}
	for _, known := range [...]struct{ says, remedy string }{
		{"x509: certificate signed by unknown authority", "name the authorities that sign Redis's certificate with REDIS_TLS_CACERT"},
		{"x509: ", "reach Redis by a name that its certificate has, or set REDIS_TLS_SKIP_HOSTNAME_VERIFICATION"},
		{"certificate", "Redis wants a certificate that its authorities signed: give REDIS_TLS_CLIENT_CERT and REDIS_TLS_CLIENT_KEY"},
		{"unreachable: NOAUTH", "set " + s.prefix + "SENTINEL_AUTH to PASSWORD or USER:PASSWORD of the Sentinels"},
		{"unreachable: WRONGPASS", "correct " + s.prefix + "SENTINEL_AUTH: PASSWORD, or USER:PASSWORD, of the Sentinels"},
		{"NOAUTH", "set " + auth + " to PASSWORD or USER:PASSWORD"},
		{"WRONGPASS", "correct " + auth + ": PASSWORD, or USER:PASSWORD"},
		{"NOPERM", "give the user the rights that docs/how-to/redis.md lists"},
		{"no such host", "correct the host in " + s.prefix + "URL"},
	} {
		if strings.Contains(err.Error(), known.says) {
			return known.remedy
		}
	}
	return "check " + s.prefix + "URL and " + s.prefix + "TLS, and that the server runs and can be reached"
}
