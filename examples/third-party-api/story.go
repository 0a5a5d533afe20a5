package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/weir-rls/weir/internal/stage"
)

const (
	partner = "partner.example"
	period  = 300 * time.Millisecond // of its rule
	burst   = 4
)

// from is a pod's call of another's API.
func from(pod, api string) stage.Request {
	return stage.Request{Listener: "egress", Path: "/", Header: map[string]string{"Host": api, "X-Pod": pod}}
}

// tell lets pods call, and shows when their calls arrived.
func (o *others) tell(ctx context.Context, s *stage.Stage) error {
	for _, scene := range []func(context.Context, *stage.Stage) error{o.queue, o.saved, refused, withoutEnvoy, byLines} {
		if err := scene(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// queue lets five pods call at once.
func (o *others) queue(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("1. Five pods call partner.example at once: one call each 300 ms, nobody is refused")
	begin := time.Now()
	if err := allServed(ctx, s, 5); err != nil {
		return err
	}
	for i, c := range o.of(partner, begin) {
		after := c.at.Sub(begin)
		s.Screen.Line(fmt.Sprintf("  %-8s %4d ms", c.pod, after.Milliseconds()))
		if earliest := time.Duration(i+1) * period; after < earliest-soon {
			return fmt.Errorf("call %d arrived after %v, before its token after %v", i, after, earliest)
		}
	}
	return nil
}

// soon is what a clock or a timer may differ by.
const soon = 20 * time.Millisecond

// saved lets pods call after a rest.
func (o *others) saved(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("2. After a rest, four have saved up, and no more: four calls at once, then one each 300 ms")
	if err := pause(ctx, (burst+2)*period); err != nil {
		return err
	}
	begin := time.Now()
	if err := allServed(ctx, s, 6); err != nil {
		return err
	}
	for i, c := range o.of(partner, begin) {
		after := c.at.Sub(begin)
		s.Screen.Line(fmt.Sprintf("  %-8s %4d ms", c.pod, after.Milliseconds()))
		if earliest := time.Duration(i+1-burst) * period; after < earliest-soon {
			return fmt.Errorf("call %d arrived after %v, before its token after %v", i, after, earliest)
		}
	}
	return nil
}

// refused shows who is not let through.
func refused(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("3. maps.example: 2 a second, and a call that would wait for more than 2 s is refused at once")
	counts := s.Burst(ctx, 10, from("pod", "maps.example"))
	s.Screen.Tally("10 calls at once", 10, counts[http.StatusOK], -1)
	if counts[http.StatusOK]+counts[http.StatusTooManyRequests] != 10 || counts[http.StatusOK] < 6 || counts[http.StatusOK] > 8 {
		return fmt.Errorf("%v of maps.example, want some 6 served and the others refused", counts)
	}
	answer, err := s.Send(ctx, from("pod", "nobody.example"))
	if err != nil {
		return err
	}
	s.Screen.Line(fmt.Sprintf("  %-24s %s: nobody said how often it may be called", "nobody.example", answer.Proto))
	if answer.Status != http.StatusTooManyRequests {
		return fmt.Errorf("a host without a rule: %s", answer.Proto)
	}
	return nil
}

// withoutEnvoy asks weir itself.
func withoutEnvoy(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("4. Without Envoy: a bucket made at run time, and POST /api/v1/acquire?wait=5s on each weir in turn")
	for i, weir := range s.Weirs {
		created, err := tokens{weir.HTTP}.create(ctx, "printer", 2, period)
		if err != nil {
			return err
		}
		s.Screen.Line(fmt.Sprintf("  PUT /api/v1/buckets/printer  created: %v", created))
		if created != (i == 0) {
			return fmt.Errorf("weir %d says created: %v", i, created)
		}
	}
	begin := time.Now()
	for i := range 4 {
		if err := (tokens{s.Weirs[i%len(s.Weirs)].HTTP}).acquire(ctx, "printer", 5*time.Second); err != nil {
			return err
		}
		s.Screen.Line(fmt.Sprintf("  token %d  %4d ms", i+1, time.Since(begin).Milliseconds()))
	}
	if took := time.Since(begin); took < 4*period-soon {
		return fmt.Errorf("four tokens of an empty bucket came within %v", took)
	}
	return nil
}

// byLines speaks to weir as clients of the rlimit server do.
func byLines(ctx context.Context, s *stage.Stage) error {
	s.Screen.Title("5. The same buckets over lines of text, for clients of the rlimit server")
	l, err := dialLines(ctx, s.Weirs[0].Line)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	for _, line := range []string{"INIT req1 printer 100 1", "CHECK req2 printer", "CHECK req3 scanner"} {
		if err := l.send(line); err != nil {
			return err
		}
		answer, err := l.next()
		if err != nil {
			return err
		}
		s.Screen.Line(fmt.Sprintf("  %-24s %s", line, answer))
	}
	return l.send("STOP")
}

// allServed lets n pods call the partner at once; all must be served.
func allServed(ctx context.Context, s *stage.Stage, n int) error {
	failed := make(chan error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			answer, err := s.Send(ctx, from(fmt.Sprintf("pod-%d", i+1), partner))
			if err == nil && answer.Status != http.StatusOK {
				err = fmt.Errorf("pod-%d: %s %s", i+1, answer.Proto, answer.Body)
			}
			if err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
