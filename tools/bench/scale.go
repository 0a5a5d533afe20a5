package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/weir-rls/weir/internal/bench"
)

// rulesRow is what a number of rules costs.
type rulesRow struct {
	count         int
	ready, reload time.Duration // from the start to ready, from a changed file to its rules in force
	heap          int64         // bytes that live after a collection, before the first bucket
	heapMet       int64         // the same when each rule has been met: with the buckets and the metrics of all
	peak          int64         // bytes resident at most, the reload included
	cpu           float64       // microseconds for a decision, over all rounds: a collection of 300 MB meets one round of many
	rounds        figure        // the same, round for round
	*server
	file string
}

// rules measures rule files of different sizes in turn. The requests have the
// same 100,000 keys with each, spread over all rules.
func (h *house) rules(ctx context.Context, p plan) (rows []rulesRow, err error) {
	var sides []*side
	for _, count := range p.rules {
		row, err := h.startWithRules(count)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, row.Stop()) }()
		rows = append(rows, row)
		s, err := against(ctx, p, row.server, rulesLoad(p, count), nil)
		if err != nil {
			return nil, err
		}
		defer s.generator.Close()
		sides = append(sides, s)
	}
	decisions := make([]float64, len(sides))
	for range p.rounds {
		for i, s := range sides {
			report, err := s.measure(ctx, p, ok)
			if err != nil {
				return nil, err
			}
			rows[i].rounds.add(report.ServerProcess.CPU)
			rows[i].cpu += report.ServerProcess.CPU * float64(report.Requests)
			decisions[i] += float64(report.Requests)
		}
	}
	for i := range rows {
		rows[i].cpu /= decisions[i]
	}
	for i := range rows {
		if err := h.heapOfRules(ctx, p, &rows[i]); err != nil {
			return nil, err
		}
		if err := rows[i].changeRules(ctx); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// rulesLoad has the same keys for any number of rules, spread over all of them.
func rulesLoad(p plan, count int) bench.Load {
	return bench.Load{
		Domain: "bench", Descriptors: []string{fmt.Sprintf("rule=r%%{%d},user=%%d", count)},
		Keys: p.rules[len(p.rules)-1], Distribution: bench.Uniform, InFlight: inFlight, Connections: 4,
	}
}

// startWithRules times the start.
func (h *house) startWithRules(count int) (row rulesRow, err error) {
	var text strings.Builder
	text.WriteString("domain: bench\ndescriptors:\n")
	for i := range count {
		fmt.Fprintf(&text, "  - {key: rule, value: r%d, descriptors: [{key: user, limits: [{rate: 1000/min, burst: 1000}]}]}\n", i)
	}
	row.count = count
	if row.file, err = h.ruleFile(fmt.Sprintf("rules-%d.yaml", count), text.String()); err != nil {
		return row, err
	}
	began := time.Now()
	if row.server, err = h.startWeirOn(row.file, ""); err != nil {
		return row, err
	}
	row.ready = time.Since(began)
	return row, nil
}

// heapOfRules looks at the heap of another server with the row's rules, before
// and after each key was met once.
func (h *house) heapOfRules(ctx context.Context, p plan, row *rulesRow) (err error) {
	weir, err := frugal(func() (*server, error) { return h.startWeirOn(row.file, "") })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, weir.Stop()) }()
	if row.heap, err = weir.settledHeap(ctx); err != nil {
		return err
	}
	load := rulesLoad(p, row.count)
	load.Distribution = bench.Sequence
	if err := fill(ctx, weir, load); err != nil {
		return err
	}
	row.heapMet, err = weir.settledHeap(ctx)
	return err
}

// changeRules adds a rule to the file and waits for the event that tells that it
// is in force: to ask for a page of metrics would be work for weir.
func (r *rulesRow) changeRules(ctx context.Context) error {
	const event = `"kind":"rules_reloaded"`
	before := strings.Count(r.Output(), event)
	file, err := os.OpenFile(r.file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := file.WriteString("  - {key: more, limits: [{rate: 1/s}]}\n"); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	const within, pause = 30 * time.Second, 5 * time.Millisecond
	for time.Since(began) < within && ctx.Err() == nil {
		if strings.Count(r.Output(), event) > before {
			r.reload = time.Since(began)
			usage, err := bench.UsageOf(r.Pid())
			r.peak = usage.PeakRSS
			return err
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("%d rules: a changed file was not read within %v", r.count, within)
}

// keysRow is what kept buckets take.
type keysRow struct {
	keys     int
	bytesPer float64 // for each key
}

// keysAtOnce is how many buckets are filled with one request.
const keysAtOnce = 8

// keyRules are limits whose names are so short that a key in Redis has 24 bytes,
// such as {d}1:d,1:a=6:v54321/n:x0. A bucket that is full is forgotten, so these
// fill slowly.
func keyRules() string {
	text := "domain: d\ndescriptors:\n"
	for i := range keysAtOnce {
		text += fmt.Sprintf("  - {key: %c, limits: [{name: x%d, rate: 1/hour, burst: 2}]}\n", 'a'+i, i)
	}
	return text
}

func keyLoad(p plan) bench.Load {
	l := bench.Load{Domain: "d", Keys: p.keys / keysAtOnce, Distribution: bench.Sequence, InFlight: inFlight, Connections: 4}
	for i := range keysAtOnce {
		l.Descriptors = append(l.Descriptors, fmt.Sprintf("%c=v%%d", 'a'+i))
	}
	return l
}

// fill sends each request of a load once.
func fill(ctx context.Context, weir *server, l bench.Load) error {
	l.Target, l.Hits, l.Timeout = weir.grpc, 1, 5*time.Second
	g, err := bench.Open(ctx, l)
	if err != nil {
		return err
	}
	defer g.Close()
	report, err := bench.Probe{}.Run(ctx, g, bench.Bound{Requests: int64(l.Keys)})
	if err != nil {
		return err
	}
	return judged(report, ok)
}

func (h *house) keysInMemory(ctx context.Context, p plan) (row keysRow, err error) {
	weir, err := frugal(func() (*server, error) {
		return h.startWeir(keyRules(), "", "--memory-max-buckets", fmt.Sprint(p.keys+p.keys/4))
	})
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, weir.Stop()) }()
	before, err := weir.settledHeap(ctx)
	if err != nil {
		return row, err
	}
	if err := fill(ctx, weir, keyLoad(p)); err != nil {
		return row, err
	}
	kept, err := weir.weir.Metric("weir_memory_buckets")
	if err != nil {
		return row, err
	}
	if int(kept) != p.keys {
		return row, fmt.Errorf("%d buckets are kept, not %d", kept, p.keys)
	}
	after, err := weir.settledHeap(ctx)
	return keysRow{keys: p.keys, bytesPer: float64(after-before) / float64(kept)}, err
}

func (h *house) keysInRedis(ctx context.Context, p plan) (row keysRow, err error) {
	redis, counters, err := h.startRedis()
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, redis.Stop()) }()
	defer counters.Close()
	weir, err := h.startWeir(keyRules(), redis.URL)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, weir.Stop()) }()
	before, err := counters.Counters(ctx)
	if err != nil {
		return row, err
	}
	if err := fill(ctx, weir, keyLoad(p)); err != nil {
		return row, err
	}
	after, err := counters.Counters(ctx)
	if err != nil {
		return row, err
	}
	row = keysRow{keys: p.keys, bytesPer: float64(after.UsedMemory-before.UsedMemory) / float64(p.keys)}
	return row, weir.storeErrors()
}
