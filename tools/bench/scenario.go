package main

import (
	"context"
	"errors"
	"slices"

	"github.com/weir-rls/weir/internal/bench"
)

// scenario is a row of the table: a load on weir and on the floor in turn.
type scenario struct {
	name        string
	redis       bool
	descriptors []string
	keys        int
	verdict     string
	// Targets: the CPU time of the server for a decision, as a multiple of the
	// floor's; Redis commands for a decision, and microseconds of Redis's CPU
	// time, 0 where there is none.
	ratio, commands, redisCPU float64
}

const (
	ok        = "ok"
	overLimit = "over_limit"
	inFlight  = 64
	keys      = 10_000
)

var (
	oneDescriptor   = []string{"user=%d"}
	fourDescriptors = []string{"user=%d", "path=%d", "tenant=%d", "region=%d"}
)

var scenarios = []scenario{
	{name: "memory, 1 descriptor, 10,000 keys", descriptors: oneDescriptor, keys: keys, verdict: ok, ratio: 1.25},
	{name: "memory, 4 descriptors", descriptors: fourDescriptors, keys: keys, verdict: ok, ratio: 1.5},
	{name: "Redis, 1 descriptor, 10,000 keys", redis: true, descriptors: oneDescriptor, keys: keys, verdict: ok, ratio: 1.7, commands: 0.15, redisCPU: 5},
	{name: "Redis, hot key with lease", redis: true, descriptors: []string{"hot=key"}, keys: 1, verdict: ok, ratio: 1.3, commands: 0.02},
	{name: "Redis, exhausted hot key", redis: true, descriptors: []string{"empty=key"}, keys: 1, verdict: overLimit, ratio: 1.25, commands: 0.01},
	{name: "Redis, 4 descriptors", redis: true, descriptors: fourDescriptors, keys: keys, verdict: ok, ratio: 2.2, commands: 0.3, redisCPU: 14},
}

// scenarioRules: buckets that no load empties, a hot key whose burst is a
// hundred times any lease, and one that is refused.
const scenarioRules = `domain: bench
descriptors:
  - {key: user, limits: [{rate: 1000/min, burst: 1000}]}
  - {key: path, limits: [{rate: 1000/min, burst: 1000}]}
  - {key: tenant, limits: [{rate: 1000/min, burst: 1000}]}
  - {key: region, limits: [{rate: 1000/min, burst: 1000}]}
  - {key: hot, limits: [{rate: 10000000/s, burst: 10000000}]}
  - {key: empty, limits: [{rate: 1/hour, burst: 1}]}
`

func (s scenario) load() bench.Load {
	return bench.Load{Domain: "bench", Descriptors: s.descriptors, Keys: s.keys, Distribution: bench.Uniform, InFlight: inFlight, Connections: 4}
}

// result is what was measured of a scenario: medians of its rounds.
type result struct {
	scenario
	floor, weir, ratioOf figure // CPU microseconds for a decision, and weir's as a multiple of the floor's
	floorP50, weirP50    figure // microseconds
	redisCPUOf, sent     figure // microseconds of Redis's CPU time, and commands, for a decision
	memory               int64  // bytes of weir, resident
}

// scenario measures weir and the floor in turn, round for round, so that a noisy
// moment meets both.
func (h *house) scenario(ctx context.Context, p plan, s scenario) (r result, err error) {
	r.scenario = s
	url := ""
	var counters *bench.Redis
	if s.redis {
		redis, opened, err := h.startRedis()
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, redis.Stop()) }()
		defer opened.Close()
		url, counters = redis.URL, opened
	}
	weir, err := h.startWeir(scenarioRules, url)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, weir.Stop()) }()
	sides, err := pair(ctx, p, h.floor, weir, s.load(), counters)
	if err != nil {
		return r, err
	}
	defer sides.close()
	for round := range p.rounds {
		floor, own, err := sides.round(ctx, p, round, s.verdict)
		if err != nil {
			return r, err
		}
		r.floor.add(floor.ServerProcess.CPU)
		r.weir.add(own.ServerProcess.CPU)
		r.ratioOf.add(own.ServerProcess.CPU / floor.ServerProcess.CPU)
		r.floorP50.add(floor.Latency.P50)
		r.weirP50.add(own.Latency.P50)
		if own.Redis != nil {
			r.redisCPUOf.add(own.Redis.CPU)
			r.sent.add(own.Redis.Commands)
		}
		r.memory = max(r.memory, own.ServerProcess.RSSBytes)
	}
	return r, weir.storeErrors()
}

// calmGOGC lets a Go program allocate 64 MB between two collections at least, as
// weir does: 16 times the 4 MB that is Go's least heap.
const calmGOGC = "GOGC=1600"

// calmFloor compares a floor that collects as seldom as weir with the floor that
// has Go's defaults, so that nobody takes for the request path what is the
// collector's.
func (h *house) calmFloor(ctx context.Context, p plan) (r result, err error) {
	calm, err := startFloor("env", calmGOGC, h.binary)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, calm.Stop()) }()
	sides, err := pair(ctx, p, h.floor, calm, scenario{descriptors: oneDescriptor, keys: keys}.load(), nil)
	if err != nil {
		return r, err
	}
	defer sides.close()
	for round := range p.rounds {
		floor, own, err := sides.round(ctx, p, round, ok)
		if err != nil {
			return r, err
		}
		r.floor.add(floor.ServerProcess.CPU)
		r.weir.add(own.ServerProcess.CPU)
		r.ratioOf.add(own.ServerProcess.CPU / floor.ServerProcess.CPU)
	}
	return r, nil
}

// sides are the floor and a weir with the same load.
type sides struct{ floor, weir *side }

func pair(ctx context.Context, p plan, floor, weir *server, l bench.Load, redis *bench.Redis) (s sides, err error) {
	if s.floor, err = against(ctx, p, floor, l, nil); err != nil {
		return s, err
	}
	if s.weir, err = against(ctx, p, weir, l, redis); err != nil {
		s.floor.generator.Close()
	}
	return s, err
}

func (s sides) close() {
	s.floor.generator.Close()
	s.weir.generator.Close()
}

// round measures both, the floor first in every other round.
func (s sides) round(ctx context.Context, p plan, number int, verdict string) (floor, weir bench.Report, err error) {
	if number%2 == 1 {
		if weir, err = s.weir.measure(ctx, p, verdict); err != nil {
			return floor, weir, err
		}
	}
	if floor, err = s.floor.measure(ctx, p, ok); err != nil {
		return floor, weir, err
	}
	if number%2 == 0 {
		weir, err = s.weir.measure(ctx, p, verdict)
	}
	return floor, weir, err
}

// figure is a measured value, round for round.
type figure []float64

func (f *figure) add(v float64) { *f = append(*f, v) }

func (f figure) median() float64 {
	sorted := slices.Sorted(slices.Values(f))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}
