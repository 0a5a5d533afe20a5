package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/weir-rls/weir/internal/stage"
)

// tell shows the pool and what it follows.
func (f *fleet) tell(ctx context.Context, s *stage.Stage) error {
	for _, scene := range []func(context.Context, *stage.Stage) error{f.hosts, heartbeats, byHand, failures, shares, f.queue, f.inFlight} {
		if err := scene(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// show writes what a pool has become.
func show(s *stage.Stage) func(pool) {
	begin, last := time.Now(), pool{}
	return func(p pool) {
		if p == last {
			return
		}
		last = p
		s.Screen.Line(fmt.Sprintf("  %5.1f s  %3d units  %-10s %d instances, %3d units, factor %.2f",
			time.Since(begin).Seconds(), p.Size, p.Source, p.Instances, p.Units, float64(p.Factor)/1e6))
	}
}

// hosts lets the pool follow what Envoy sees of the backends.
func (f *fleet) hosts(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("1. Envoy sees three healthy backends of 20 units each. One falls ill, and is well again")
	seen := show(s)
	if _, err := await(ctx, s, "three healthy hosts", func(p pool) bool { return p.Size == 60 }, seen); err != nil {
		return err
	}
	f.backends[2].ill.Store(true)
	if _, err := await(ctx, s, "one falls ill", func(p pool) bool { return p.Size == 40 }, seen); err != nil {
		return err
	}
	f.backends[2].ill.Store(false)
	_, err := await(ctx, s, "it is well again", func(p pool) bool { return p.Size == 60 }, seen)
	return err
}

// beat reports an instance, as it would itself.
func beat(ctx context.Context, s *stage.Stage, name string, n int, ttl string) error {
	return api{s.Weirs[len(s.Weirs)-1].HTTP}.do(ctx, http.MethodPut, "/pools/units/instances/"+name, fmt.Sprintf(`{"units": %d, "ttl": %q}`, n, ttl), nil)
}

// heartbeats lets instances say themselves what they can take.
func heartbeats(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("2. Two instances report 50 units each: up in steps of 20, down at once. When none of them says anything, Envoy's view counts")
	seen := show(s)
	for name, ttl := range map[string]string{"pod-1": "1m", "pod-2": "6s"} {
		if err := beat(ctx, s, name, 50, ttl); err != nil {
			return err
		}
	}
	if _, err := await(ctx, s, "100 units", func(p pool) bool { return p.Size == 100 }, seen); err != nil {
		return err
	}
	if _, err := await(ctx, s, "pod-2 says nothing for 6 s", func(p pool) bool { return p.Size == 50 }, seen); err != nil {
		return err
	}
	if err := (api{s.Weirs[0].HTTP}).do(ctx, http.MethodDelete, "/pools/units/instances/pod-1", "", nil); err != nil {
		return err
	}
	_, err := await(ctx, s, "pod-1 leaves", func(p pool) bool { return p.Size == 60 && p.Source == "envoy" }, seen)
	return err
}

// setByHand sets the capacity, as an operator does.
func setByHand(ctx context.Context, s *stage.Stage, total int) error {
	return api{s.Weirs[0].HTTP}.do(ctx, http.MethodPut, "/pools/units/capacity", fmt.Sprintf(`{"total": %d, "ttl": "10m", "author": "ann", "reason": "the peak"}`, total), nil)
}

// byHand shows what wins over all that is counted.
func byHand(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("3. Before the peak an operator sets 100, whatever is counted")
	if err := setByHand(ctx, s, 100); err != nil {
		return err
	}
	_, err := await(ctx, s, "100 by hand", func(p pool) bool { return p.Size == 100 && p.Source == "hand" }, show(s))
	return err
}

// freeze stops the feedback, or lets it go on.
func freeze(ctx context.Context, s *stage.Stage, on bool) error {
	return api{s.Weirs[0].HTTP}.do(ctx, http.MethodPut, "/pools/units/feedback", fmt.Sprintf(`{"freeze": %v}`, on), nil)
}

// during sends requests of a path, n at a time, until what it does meanwhile is
// done. It answers how many were sent, and how many passed.
func during(ctx context.Context, s *stage.Stage, n int, every time.Duration, path string, do func() error) (sent, passed int, err error) {
	sending, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		for sending.Err() == nil {
			passed += s.Burst(ctx, n, stage.Request{Path: path})[http.StatusOK]
			sent += n
			_ = pause(sending, every) // ends early when it is done
		}
	})
	err = do()
	stop()
	all.Wait()
	return sent, passed, err
}

// failures lets the pool follow how calls end.
func failures(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("4. Calls fail: the pool shrinks by a tenth each second, until the feedback is frozen")
	seen := show(s)
	_, _, err := during(ctx, s, 25, time.Second, "/api/a?fail", func() error {
		_, err := await(ctx, s, "calls that fail", func(p pool) bool { return p.Factor <= 900_000 }, seen)
		return err
	})
	if err != nil {
		return err
	}
	if err := freeze(ctx, s, true); err != nil {
		return err
	}
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	p, err := units(ctx, s)
	if err != nil {
		return err
	}
	if seen(p); !p.Frozen || p.Factor == 1_000_000 {
		return fmt.Errorf("frozen, the pool is %+v", p)
	}
	return freeze(ctx, s, false)
}

// shares lets all APIs want more than there is.
func shares(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("5. Calls succeed, and all APIs want more than there is: light ones pass more often, none takes it all, and the pool grows again")
	before, err := units(ctx, s)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	var sent, passed [3]int
	for i, name := range []string{"a", "b", "c"} {
		all.Go(func() {
			sent[i], passed[i], _ = during(ctx, s, 4, 150*time.Millisecond, "/api/"+name, func() error { return pause(ctx, 6*time.Second) })
		})
	}
	all.Wait()
	for i, name := range []string{"a", "b", "c"} {
		s.Screen.Tally("/api/"+name, sent[i], passed[i], passed[i]*weights[name])
	}
	if passed[0] < passed[2] || passed[2] == 0 {
		return fmt.Errorf("of each API %v passed", passed)
	}
	_, err = await(ctx, s, "calls succeed", func(p pool) bool { return p.Factor > before.Factor }, show(s))
	return err
}

// queue sends calls that wait.
func (f *fleet) queue(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("6. /sync: 20 calls of 3 units at once, at 20 units a second: they wait, and none is refused")
	begin := time.Now()
	passed := s.Burst(ctx, 20, stage.Request{Path: "/sync/c"})[http.StatusOK]
	s.Screen.Tally(fmt.Sprintf("/sync/c, %.1f s", time.Since(begin).Seconds()), 20, passed, passed*3)
	if passed != 20 {
		return fmt.Errorf("%d of 20 calls were served", passed)
	}
	return nil
}

// inFlight sends calls that hold their units while they run.
func (f *fleet) inFlight(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("7. /jobs: units are what is in flight. 15 calls of 3 units, 300 ms each: at most 20 units at a time")
	f.mostInFlight()
	passed := s.Burst(ctx, 15, stage.Request{Path: "/jobs/c?work=300ms"})[http.StatusOK]
	most := f.mostInFlight()
	s.Screen.Tally(fmt.Sprintf("/jobs/c, %d in flight", most), 15, passed, -1)
	if passed != 15 || most > 20 {
		return fmt.Errorf("%d of 15 jobs were done, with %d units in flight", passed, most)
	}
	return nil
}
