package stats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	client "github.com/cactus/go-statsd-client/v5/statsd"
)

const (
	// chunk is how much is written at once, in bytes: as much as that is counted twice at
	// most when a connection breaks.
	chunk = 32 << 10

	// maxSamples bounds the times that are kept of a method between two flushes. Of more,
	// as many are chosen by chance, and the lines tell of which part they are.
	maxSamples = 1_000

	connectWithin = 1500 * time.Millisecond
	writeWithin   = time.Second
)

// statsd writes lines over TCP. Tags are a part of a line's name there.
type statsd struct {
	address  string
	interval time.Duration
	tags     string
	log      *slog.Logger

	mu     sync.Mutex
	timers []*samples

	sent   map[numberKey]uint64 // what the server knows of each counter
	stream *stream
	client client.Statter
	failed bool // the last flush did, and that was told
}

func newStatsd(o Options) (*statsd, error) {
	s := &statsd{address: o.StatsdAddress, interval: o.FlushInterval, log: o.Log, sent: map[numberKey]uint64{}, stream: &stream{address: o.StatsdAddress}}
	for _, key := range slices.Sorted(maps.Keys(o.ExtraTags)) {
		if value := o.ExtraTags[key]; key != "" && value != "" {
			s.tags += ".__" + clean(key) + "=" + strings.ReplaceAll(clean(value), ".", "_")
		}
	}
	var err error
	s.client, err = client.NewClientWithSender(s.stream, "", client.SuffixOctothorpe)
	if err != nil {
		return nil, err
	}
	s.client.(*client.Client).SetSamplerFunc(func(float32) bool { return true })
	return s, nil
}

func (s *statsd) timer(name string) func(time.Duration) {
	t := &samples{name: name}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timers = append(s.timers, t)
	return t.add
}

func (s *statsd) run(ctx context.Context, stats *Stats) error {
	return every(ctx, s.interval, func(ctx context.Context) {
		err := s.flush(ctx, stats)
		if err != nil && !s.failed {
			s.log.Warn("statistics cannot be sent to statsd; what is counted meanwhile is sent when that is possible again", "server", s.address, "error", err,
				"remedy", "STATSD_HOST and STATSD_PORT must name a statsd that listens on TCP, or USE_STATSD must be false")
		}
		s.failed = err != nil
	})
}

// every flushes at intervals and once more, for a short time, when ctx has ended.
func every(ctx context.Context, interval time.Duration, flush func(context.Context)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
			defer cancel()
			flush(last)
			return ctx.Err()
		}
	}
}

// flush sends what has changed. A counter that could not be sent is sent with what it has
// grown by until the next time; a time that could not is lost.
func (s *statsd) flush(ctx context.Context, stats *Stats) error {
	if err := s.stream.connect(ctx); err != nil {
		return err
	}
	pending := map[numberKey]uint64{}
	write := func() error {
		err := s.stream.flush()
		if err == nil {
			maps.Copy(s.sent, pending)
			clear(pending)
		}
		return err
	}
	var failed error
	stats.read(func(v number) bool {
		switch grown := v.n - s.sent[v.key()]; {
		case !v.grows:
			failed = s.client.Gauge(v.name()+s.tags, whole(v.n), 1)
		case grown != 0:
			failed = s.client.Inc(v.name()+s.tags, whole(grown), 1)
			pending[v.key()] = v.n
		}
		if failed == nil && len(s.stream.buffer) >= chunk {
			failed = write()
		}
		return failed == nil
	})
	s.mu.Lock()
	timers := slices.Clone(s.timers)
	s.mu.Unlock()
	for _, t := range timers {
		took, rate := t.take()
		for _, d := range took {
			failed = errors.Join(failed, s.client.TimingDuration(t.name+s.tags, d, rate))
		}
	}
	if failed != nil {
		s.stream.buffer = nil
		return failed
	}
	return write()
}

func whole(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func (s *statsd) close() { _ = s.stream.Close() }

// samples are times between two flushes.
type samples struct {
	name string
	mu   sync.Mutex
	kept []time.Duration
	seen int
}

func (s *samples) add(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen++
	if len(s.kept) < maxSamples {
		s.kept = append(s.kept, took)
	} else if i := rand.IntN(s.seen); i < maxSamples {
		s.kept[i] = took
	}
}

// take returns what was kept and which part that is of all.
func (s *samples) take() (kept []time.Duration, rate float32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, rate = s.kept, 1
	if s.seen > len(kept) {
		rate = float32(len(kept)) / float32(s.seen)
	}
	s.kept, s.seen = nil, 0
	return kept, rate
}

// stream is the connection that the client writes to, one line at a time.
type stream struct {
	address string
	conn    net.Conn
	buffer  []byte
}

// connect makes a connection unless there is one that the other side has not closed.
func (s *stream) connect(ctx context.Context) error {
	if s.conn != nil {
		_ = s.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := s.conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		_ = s.Close()
	}
	dialer := net.Dialer{Timeout: connectWithin}
	conn, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	s.conn = conn
	return nil
}

func (s *stream) Send(line []byte) (int, error) {
	s.buffer = append(append(s.buffer, line...), '\n')
	return len(line), nil
}

func (s *stream) flush() error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	_, err := s.conn.Write(s.buffer)
	s.buffer = s.buffer[:0]
	if err != nil {
		_ = s.Close()
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func (s *stream) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
