package main

import (
	"context"
	"errors"
	"time"

	"github.com/weir-rls/weir/internal/bench"
)

// loneSlack is what weir may take beyond the floor and one round trip to Redis,
// in microseconds.
const loneSlack = 15

// lone is one request in flight, with the buckets in a Redis on loopback.
type lone struct {
	floorP50, roundTrip, weirP50 figure // microseconds
	over                         figure // weir's beyond the floor and the round trip
	sent                         figure // commands for a decision
}

func (h *house) lone(ctx context.Context, p plan) (l lone, err error) {
	redis, counters, err := h.startRedis()
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, redis.Stop()) }()
	defer counters.Close()
	weir, err := h.startWeir(scenarioRules, redis.URL)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, weir.Stop()) }()
	load := scenario{descriptors: oneDescriptor, keys: keys}.load()
	load.InFlight = 1
	sides, err := pair(ctx, p, h.floor, weir, load, counters)
	if err != nil {
		return l, err
	}
	defer sides.close()
	bare, err := openRoundTrip(redis.Addr)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, bare.conn.Close()) }()
	for round := range p.rounds {
		floor, own, err := sides.round(ctx, p, round, ok)
		if err != nil {
			return l, err
		}
		trip, err := bare.median(p.slice)
		if err != nil {
			return l, err
		}
		us := float64(trip) / float64(time.Microsecond)
		l.floorP50.add(floor.Latency.P50)
		l.roundTrip.add(us)
		l.weirP50.add(own.Latency.P50)
		l.over.add(own.Latency.P50 - floor.Latency.P50 - us)
		l.sent.add(own.Redis.Commands)
	}
	return l, weir.storeErrors()
}

// replicaRow is what some replicas cost the Redis that they share.
type replicaRow struct {
	replicas       int
	redisCPU, sent figure // for a decision
	perSecond      figure
}

const mostReplicas = 4

// replicas measures one to four weirs on one Redis, with the same number of
// requests in flight over all.
func (h *house) replicas(ctx context.Context, p plan) (rows []replicaRow, err error) {
	redis, counters, err := h.startRedis()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, redis.Stop()) }()
	defer counters.Close()
	var weirs []*server
	for range mostReplicas {
		weir, err := h.startWeir(scenarioRules, redis.URL)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, weir.Stop()) }()
		weirs = append(weirs, weir)
	}
	for n := 1; n <= mostReplicas; n++ {
		row := replicaRow{replicas: n}
		if err := row.measure(ctx, p, weirs[:n], counters); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	for _, weir := range weirs {
		if err := weir.storeErrors(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (r *replicaRow) measure(ctx context.Context, p plan, weirs []*server, redis *bench.Redis) error {
	load := scenario{descriptors: oneDescriptor, keys: keys}.load()
	load.InFlight = inFlight / len(weirs)
	load.Connections = 1
	var all []*side
	for _, weir := range weirs {
		s, err := against(ctx, p, weir, load, nil)
		if err != nil {
			return err
		}
		defer s.generator.Close()
		all = append(all, s)
	}
	for range p.rounds {
		before, err := redis.Counters(ctx)
		if err != nil {
			return err
		}
		decisions, took, err := together(ctx, p, all)
		if err != nil {
			return err
		}
		after, err := redis.Counters(ctx)
		if err != nil {
			return err
		}
		used := after.Since(before)
		r.redisCPU.add(float64(used.CPU) / float64(time.Microsecond) / float64(decisions))
		r.sent.add(float64(used.Sent()) / float64(decisions))
		r.perSecond.add(float64(decisions) / took.Seconds())
	}
	return nil
}

// together loads all sides at the same time and answers how many decisions they
// made.
func together(ctx context.Context, p plan, all []*side) (decisions int64, took time.Duration, err error) {
	began := time.Now()
	reports := make(chan bench.Report)
	errs := make(chan error)
	for _, s := range all {
		go func() {
			report, err := s.measure(ctx, p, ok)
			reports <- report
			errs <- err
		}()
	}
	for range all {
		report := <-reports
		decisions += report.Requests
	}
	took = time.Since(began)
	for range all {
		err = errors.Join(err, <-errs)
	}
	return decisions, took, err
}
