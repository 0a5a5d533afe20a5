package bench

import (
	"context"
	"time"
)

// Run is what became of the requests of a run.
type Run struct {
	Elapsed time.Duration
	Unsent  int64 // open loop: requests that were due and never sent, because earlier ones were still under way
	*tally
}

// Answered is how many requests got a verdict.
func (r Run) Answered() int64 {
	var n int64
	for _, count := range r.verdicts {
		n += count
	}
	return n
}

// Failed is how many requests ended in an error.
func (r Run) Failed() int64 {
	var n int64
	for _, count := range r.errors {
		n += count
	}
	return n
}

// Latency is the time within which a share of the requests, in percent, was
// answered.
func (r Run) Latency(percent float64) time.Duration {
	return time.Duration(r.latency.ValueAtPercentile(percent))
}

// Probe tells what a run costs the server and its Redis.
type Probe struct {
	PID   int    // of the server; 0: not measured
	Redis *Redis // nil: not measured
}

// cost is what was used between two looks.
type cost struct {
	server *Usage         // CPU times used meanwhile, memory at the end
	redis  *RedisCounters // all counted meanwhile, memory at the end
}

// look is what had been used at one moment.
type look struct {
	server Usage
	redis  RedisCounters
}

func (p Probe) look(ctx context.Context) (l look, err error) {
	if p.PID != 0 {
		if l.server, err = UsageOf(p.PID); err != nil {
			return l, err
		}
	}
	if p.Redis != nil {
		// The end of a run may be the end of ctx.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectWithin)
		defer cancel()
		l.redis, err = p.Redis.Counters(ctx)
	}
	return l, err
}

// Run runs a load and reports what it cost. What the server does beside it is
// counted too.
func (p Probe) Run(ctx context.Context, g *Generator, bound Bound) (Report, error) {
	before, err := p.look(ctx)
	if err != nil {
		return Report{}, err
	}
	run := g.Run(ctx, bound)
	after, err := p.look(ctx)
	if err != nil {
		return Report{}, err
	}
	var c cost
	if p.PID != 0 {
		c.server = &Usage{
			CPU: after.server.CPU - before.server.CPU, User: after.server.User - before.server.User, System: after.server.System - before.server.System,
			RSS: after.server.RSS, PeakRSS: after.server.PeakRSS,
		}
	}
	if p.Redis != nil {
		diff := after.redis.Since(before.redis)
		c.redis = &diff
	}
	return newReport(g.load, run, p.PID, c), nil
}
