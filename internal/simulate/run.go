package simulate

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Options are what is simulated. Trace and Rules are required.
type Options struct {
	Trace   Source
	Reorder time.Duration // how much later than others a request may stand in the trace
	Rules   *descriptors.Rules
	Against *descriptors.Rules // that Rules are compared with, nil: with none

	SkipBadLines bool
	// What is taken for true of requests of which the trace does not say how they ended.
	AssumeStatus   int
	AssumeDuration time.Duration
	Changes        int // how many requests are told that get another verdict

	Done *atomic.Int64 // requests that were judged, for who watches; may be nil
}

// run is a simulation that goes on.
type run struct {
	Options
	report  *Report
	trace   *ordered
	replays []*replay // Against first, so that it is known when the other decides
	compare *compare
	asked   int64
	first   int64
	last    int64
}

// Run replays a trace. An error is one of the trace, or that ctx has ended: then what
// was judged until then is reported too.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Done == nil {
		o.Done = new(atomic.Int64)
	}
	r := &run{Options: o, report: &Report{}, trace: &ordered{source: o.Trace, window: o.Reorder.Microseconds()}}
	err := r.all(ctx)
	for _, p := range r.replays {
		if failed := p.finish(); err == nil {
			err = failed
		}
	}
	var bad *BadLine
	if errors.As(err, &bad) {
		return nil, err
	}
	r.tell()
	return r.report, err
}

// all judges row after row.
func (r *run) all(ctx context.Context) error {
	for {
		if r.asked%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := r.trace.Next()
		var bad *BadLine
		switch {
		case err == io.EOF:
			return nil
		case errors.As(err, &bad) && r.SkipBadLines:
			if r.report.Trace.BadLines++; r.report.Trace.FirstBad == "" {
				r.report.Trace.FirstBad = bad.Error()
			}
			continue
		case err != nil:
			return err
		case len(row.Request.Descriptors) == 0: // Envoy asks nobody
			r.report.Trace.NotAsked++
			continue
		}
		if err := r.one(row); err != nil {
			return err
		}
		r.Done.Add(1)
	}
}

func (r *run) one(row *Row) error {
	if r.replays == nil {
		r.begin(row.At)
	}
	r.asked++
	r.last = row.At
	for _, p := range r.replays {
		if err := p.ask(r.asked, row); err != nil {
			return err
		}
	}
	if r.compare != nil {
		r.compare.asked(r.asked, row)
	}
	return nil
}

// begin makes the replicas, whose clocks begin with the first request.
func (r *run) begin(at int64) {
	r.first = at
	a := assumed{r.AssumeStatus, r.AssumeDuration}
	if r.Against == nil {
		r.replays = []*replay{newReplay(r.Rules, at, a, nil)}
		return
	}
	r.compare = &compare{most: r.Changes, open: map[int64]*pair{}}
	for i, rules := range []*descriptors.Rules{r.Against, r.Rules} {
		r.replays = append(r.replays, newReplay(rules, at, a, func(number int64, row *Row, v Verdict) { r.compare.decided(i, number, row, v) }))
	}
	r.compare.replays = r.replays
}
