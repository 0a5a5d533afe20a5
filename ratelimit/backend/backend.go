package backend

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
)

// Options are what to count in. Main is required unless Memory is set.
type Options struct {
	Memory     bool // in place of Redis
	MaxBuckets int  // most in memory, 0: [memory.DefaultMaxBuckets]

	Main      Redis  // by the variables REDIS_
	PerSecond *Redis // of limits by the second, by the variables REDIS_PERSECOND_; nil: Main
	KeyPrefix string // of the keys that are written beside those of requests

	// Pauses at the start while a Redis does not answer: each is twice the one before, up to
	// StartupMost, less up to the half by chance. After StartupEnd [Backend.Run] gives up, 0: it never does.
	StartupFirst, StartupMost, StartupEnd time.Duration
	// Watch keeps asking each Redis after it has answered for the first time, and who
	// does not answer is not healthy. Otherwise it is from then on.
	Watch bool

	Health func(healthy bool) // is told of each change, one after the other, and must not ask the backend; before the first it is not healthy; may be nil
	Log    *slog.Logger
}

// Redis is how one Redis is reached, or one group of servers. What it names in an
// error is the variable without its prefix.
type Redis struct {
	SocketType string // unix or tcp, of a single server: what URL is
	Type       string // SINGLE, SENTINEL or CLUSTER in any case
	// URL is HOST:PORT, a redis:// or rediss:// URL or the path of a socket; of a Sentinel
	// MASTER,HOST:PORT,HOST:PORT, and of a Cluster HOST:PORT,HOST:PORT.
	URL          string
	PoolSize     int    // most connections to one server; 0: ten a processor
	Auth         string // PASSWORD or USER:PASSWORD
	AuthFile     string // that has the same, for each connection anew; not with Auth
	SentinelAuth string
	TLS          bool
	Files        Files         // where TLS is spoken
	Timeout      time.Duration // for a connection, and for an answer; 0: the operating system's, and OpTimeout
	OpTimeout    time.Duration // for an answer; 0: a second
}

// Files are of TLS, PEM. Those of the second Redis are those of the first unless it has
// some of its own. They are read again for a new connection once they were replaced.
type Files struct {
	Cert, Key string // that a server is shown; it needs both
	CA        string // authorities of servers, beside those of the system
	AnyName   bool   // a server's certificate may have another name than it is reached by
}

const (
	defaultOpTimeout = time.Second
	mostDialTimeout  = time.Minute // where none is set
)

// call is how long a caller waits for an answer, at most.
func (r Redis) call() time.Duration {
	wait := cmp.Or(r.OpTimeout, defaultOpTimeout)
	if r.Timeout > 0 {
		wait = min(wait, r.Timeout)
	}
	return wait
}

// patience is after how long a call is cut off, and its connection with it: a new one
// needs several round trips until it can be used.
func (r Redis) patience() time.Duration { return max(time.Second, r.call()) }

func (r Redis) dial() time.Duration { return cmp.Or(r.Timeout, mostDialTimeout) }

// Backend is what is counted in.
type Backend struct {
	Main      buckets.Store
	PerSecond buckets.Store // of limits by the second, which may be Main

	options Options
	servers []*server

	mu      sync.Mutex
	healthy bool
}

// Pool is a pool of connections, under the name of its statistics.
type Pool struct {
	Name  string
	Count func() redis.Connections
}

// Open checks the options and connects to nothing.
func Open(o Options) (*Backend, error) {
	b := &Backend{options: o}
	local := memory.New(memory.Options{MaxBuckets: o.MaxBuckets})
	if o.Memory {
		b.Main, b.PerSecond = local, local
		b.note()
		return b, nil
	}
	all := []*server{{prefix: "REDIS_", pool: "redis_pool", settings: o.Main}}
	if o.PerSecond != nil {
		all = append(all, &server{prefix: "REDIS_PERSECOND_", pool: "redis_per_second_pool", settings: *o.PerSecond})
	}
	for _, s := range all {
		files, prefix := s.settings.Files, s.prefix
		if files == (Files{}) {
			files, prefix = o.Main.Files, all[0].prefix
		}
		if err := s.open(o, files, prefix, local); err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.servers = append(b.servers, s)
	}
	b.Main, b.PerSecond = all[0].guard, all[len(all)-1].guard
	return b, nil
}

// Run waits until each Redis has answered, logs what it is told, and watches over them, if
// it is to, until ctx ends. It fails when a Redis has not answered for as long as it may
// take at the start.
func (b *Backend) Run(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	var work sync.WaitGroup
	faults := make([]error, len(b.servers))
	for i, s := range b.servers {
		work.Go(func() {
			if faults[i] = s.greet(ctx, b.options); faults[i] != nil {
				end()
			}
			if ctx.Err() != nil {
				return
			}
			b.set(s, true)
			if b.options.Watch {
				s.watch(ctx, func(answers bool) { b.set(s, answers) })
			}
		})
	}
	work.Wait()
	return errors.Join(faults...)
}

// set takes note of whether a Redis answers.
func (b *Backend) set(s *server, answers bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.answers = answers
	b.note()
}

// note tells of a change of health. b.mu is held, or nobody else knows b.
func (b *Backend) note() {
	healthy := true
	for _, s := range b.servers {
		healthy = healthy && s.answers
	}
	if healthy == b.healthy {
		return
	}
	b.healthy = healthy
	if b.options.Health != nil {
		b.options.Health(healthy)
	}
}

// Pools are the pools of connections, of memory none.
func (b *Backend) Pools() (all []Pool) {
	for _, s := range b.servers {
		all = append(all, Pool{s.pool, s.store.Connections})
	}
	return all
}

// Close ends all connections. Calls under way fail.
func (b *Backend) Close() error {
	var faults []error
	for _, s := range b.servers {
		s.guard.Close()
		faults = append(faults, s.store.Close())
	}
	return errors.Join(faults...)
}
