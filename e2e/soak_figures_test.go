package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/internal/parts"
)

// soakFigures are what may not grow: the median of the last half after the warm-up over
// that of the first by at most a tenth and some more. In a short soak memory and keys have
// no time to come to rest.
var soakFigures = []struct {
	name        string
	unit        float64
	more, short float64
}{
	{"resident memory, MiB", 1 << 20, 8, 96},
	{"live heap, MiB", 1 << 20, 2, 16},
	{"goroutines", 1, 20, 20},
	{"open files", 1, 10, 10},
	{"keys in Redis", 1, 100, 1000},
}

// mostKeys bounds the keys in Redis: those that are met once for as long as they are kept,
// and the others. As many would be there after half a minute if they stayed.
const mostKeys = 2500

// unknown is how many keys a Redis has that is just restarted.
const unknown = -1

// figures are samples in the order of time, each with the values of [soakFigures].
type figures struct {
	mu  sync.Mutex
	all [][]float64
}

// add samples a weir. Where Redis is just restarted there is nothing to compare.
func (f *figures) add(s *soaked) {
	sample, err := s.sample()
	if err != nil {
		if !s.away.Load() {
			s.Errorf("measure: %v", err)
		}
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, sample)
}

func (s *soaked) sample() ([]float64, error) {
	sample, err := sizesOf(s.weir)
	if err != nil {
		return nil, err
	}
	if s.store != "redis" || s.away.Load() {
		return append(sample, unknown), nil
	}
	admin := goredis.NewClient(&goredis.Options{Addr: s.redisAddr, DisableIdentity: true, MaxRetries: -1})
	defer func() { _ = admin.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	keys, err := admin.DBSize(ctx).Result()
	return append(sample, float64(keys)), err
}

// sizesOf are the figures of a process: resident memory and live heap in bytes,
// goroutines, open files.
func sizesOf(weir *parts.WeirProcess) ([]float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+weir.HTTP+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	of := map[string]float64{}
	for line := range strings.Lines(string(page)) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), " "); found && !strings.HasPrefix(line, "#") {
			of[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	// The next collection begins when what lives has grown by that many percent.
	live := of["go_memstats_next_gc_bytes"] / (1 + of["go_gc_gogc_percent"]/100)
	sizes := []float64{of["process_resident_memory_bytes"], live, of["go_goroutines"], of["process_open_fds"]}
	for i, v := range sizes {
		if v <= 0 {
			return nil, fmt.Errorf("/metrics says nothing of %s", soakFigures[i].name)
		}
	}
	return sizes, nil
}

// print logs the medians of what was sampled since the last half minute.
func (f *figures) print(s *soaked) {
	f.mu.Lock()
	defer f.mu.Unlock()
	row := fmt.Sprintf("soak: %-6s %8d calls", s.store, s.done.Load())
	last := f.all[max(0, len(f.all)-30):]
	for i, figure := range soakFigures {
		row += fmt.Sprintf(" | %s %.1f", figure.name, median(last, i)/figure.unit)
	}
	s.Log(row)
}

func median(samples [][]float64, figure int) float64 {
	var all []float64
	for _, sample := range samples {
		if sample[figure] != unknown {
			all = append(all, sample[figure])
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// judge fails the test where a figure grew. The first fifth is the warm-up.
func (f *figures) judge(s *soaked, length time.Duration) {
	if len(f.all) < 20 {
		s.Fatalf("only %d samples", len(f.all))
	}
	warm := f.all[len(f.all)/5:]
	first, second := warm[:len(warm)/2], warm[len(warm)/2:]
	for i, figure := range soakFigures {
		before, after := median(first, i)/figure.unit, median(second, i)/figure.unit
		most := before*1.1 + figure.more
		if length < time.Minute {
			most = before*1.1 + figure.short
		}
		s.Logf("soak: %-6s %-22s %8.1f, then %8.1f, at most %8.1f", s.store, figure.name, before, after, most)
		if after > most {
			s.Errorf("%s grew from %.1f to %.1f, more than to %.1f", figure.name, before, after, most)
		}
	}
	for _, sample := range f.all {
		if keys := sample[len(sample)-1]; keys > mostKeys {
			s.Fatalf("%.0f keys in Redis, want at most %d", keys, mostKeys)
		}
	}
}
