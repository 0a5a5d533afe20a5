package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

func TestMain(m *testing.M) { stagetest.Main(m) }

func TestStory(t *testing.T) { stagetest.Story(t, example) }

func TestCompose(t *testing.T) { stagetest.Compose(t, example, "docker-compose.yaml") }

// onEachStore runs a test that also sees who called the others.
func onEachStore(t *testing.T, test func(*testing.T, *stage.Stage, *others)) {
	var seen *others
	make := func() stage.Example {
		e := example()
		seen = e.Upstreams[0].Handler.(*others)
		return e
	}
	stagetest.OnEachStore(t, make, func(t *testing.T, s *stage.Stage) { test(t, s, seen) })
}

// served sends a call that must be served, and tells how long it took.
func served(t *testing.T, s *stage.Stage, r stage.Request) time.Duration {
	t.Helper()
	begin := time.Now()
	answer, err := s.Send(t.Context(), r)
	took := time.Since(begin)
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("%s %s %v", answer.Proto, answer.Body, err)
	}
	return took
}

// rest lets the partner's bucket fill up.
func rest(t *testing.T) {
	t.Helper()
	if err := pause(t.Context(), (burst+1)*period); err != nil {
		t.Fatal(err)
	}
}

// until asks again and again, for at most 20 s.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !done() {
		if pause(ctx, 2*time.Millisecond) != nil {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// waiting is how many wait on all replicas.
func waiting(t *testing.T, s *stage.Stage) int {
	t.Helper()
	n, err := s.Metric("weir_waiting_requests")
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// within tells that calls arrived no sooner than their tokens: a bucket that had
// saved tokens when it began.
func within(t *testing.T, calls []call, begin time.Time, saved int) {
	t.Helper()
	for i, c := range calls {
		if after, earliest := c.at.Sub(begin), time.Duration(i+1-saved)*period; after < earliest-soon {
			t.Errorf("call %d arrived after %v, before its token after %v", i, after, earliest)
		}
	}
}

func pod(i int) string { return fmt.Sprintf("pod-%d", i) }
