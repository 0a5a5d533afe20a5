package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// answered sends one request, which must be answered.
func answered(t *testing.T, s *stage.Stage, r stage.Request) stage.Answer {
	t.Helper()
	answer, err := s.Send(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// mustPass sends a request n times, one after the other, of which so many must
// pass and the others be refused.
func mustPass(t *testing.T, s *stage.Stage, want, n int, r stage.Request) {
	t.Helper()
	counts, err := s.Repeat(t.Context(), n, r)
	if err != nil || counts[http.StatusOK] != want || counts[http.StatusTooManyRequests] != n-want {
		t.Fatalf("%v %v, want %d of %d to pass", counts, err, want, n)
	}
}

// mustFail sends a request that the model fails n times, and waits until weir has
// been told how they have ended.
func mustFail(t *testing.T, s *stage.Stage, n int, r stage.Request) {
	t.Helper()
	if counts, err := s.Repeat(t.Context(), n, r); err != nil || counts[http.StatusInternalServerError] != n {
		t.Fatalf("%v %v, want %d that reach the model", counts, err, n)
	}
}

func redeemed(t *testing.T, s *stage.Stage) int64 {
	t.Helper()
	n, err := s.Redeemed()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func metric(t *testing.T, s *stage.Stage, series string) int64 {
	t.Helper()
	n, err := s.Metric(series)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func reach(t *testing.T, what string, done func() bool) {
	t.Helper()
	if err := stage.Until(t.Context(), 10*time.Millisecond, what, func() (bool, error) { return done(), nil }); err != nil {
		t.Fatal(err)
	}
}

func TestM03_M05_TheTotalCountsFailuresAndItsRefusalsTakeNoSuccess(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		mustFail(t, s, 150, chat("sk-alice", "gpt-4", "X-Fail", "500"))
		mustPass(t, s, 50, 60, chat("sk-alice", "gpt-4")) // by the total
		mustPass(t, s, 100, 110, chat("sk-alice", "claude"))
		for range 3 { // a total of 0 is unlimited: a vip may fail as often as he likes
			mustFail(t, s, 100, chat("sk-bob", "gpt-4", "X-Fail", "500"))
		}
		mustPass(t, s, 5, 5, chat("sk-bob", "gpt-4"))
	})
}

// Of 200 at the same time exactly the limit passes (N1: there all of them did).
func TestM04_N1_200AtTheSameTimePassExactly100(t *testing.T) {
	relaxed := edited(t, "slots: 20", "slots: 1000")
	stagetest.OnEachStore(t, relaxed, func(t *testing.T, s *stage.Stage) {
		if counts := s.Burst(t.Context(), 200, chat("sk-carol", "gpt-4")); counts[200] != 100 || counts[429] != 100 {
			t.Errorf("%v, want 100 that pass", counts)
		}
		for i, envoy := range s.Envoys {
			if failed, err := envoy.Stat("cluster.llm.ratelimit.error"); err != nil || failed != 0 {
				t.Errorf("Envoy %d passed or refused %d without a verdict, %v", i, failed, err)
			}
		}
	})
}

func TestM08_N9_TheGroupOfTheKeyElseOfTheUserElseTheGlobalPair(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 100, 101, chat("sk-alice", "gpt-4"))
		mustPass(t, s, 150, 150, chat("sk-alice-vip", "gpt-4"))
		// A name that a client gives himself is not believed.
		for _, header := range []string{"X-Token-Group", "X-User-Group", "X-User", "X-Key"} {
			mustPass(t, s, 0, 2, chat("sk-alice", "gpt-4", header, "vip"))
		}
		mustPass(t, s, 120, 120, chat("sk-erin", "gpt-4")) // of no group: 1000
	})
}

// One user in one group has one bucket, whichever of his keys he takes: of the
// same group, or of one that nobody has heard of.
func TestM08_N9_NoKeyOfAUserOpensASecondBucket(t *testing.T) {
	small := edited(t, `"vip": [0, 1000]`, `"vip": [0, 30]`)
	stagetest.OnEachStore(t, small, func(t *testing.T, s *stage.Stage) {
		for _, key := range []string{"sk-bob", "sk-bob-vip", "sk-bob-new"} {
			mustPass(t, s, 10, 10, chat(key, "claude"))
		}
		for _, key := range []string{"sk-bob", "sk-bob-vip", "sk-bob-new"} {
			mustPass(t, s, 0, 2, chat(key, "claude"))
		}
	})
}

func TestM09_M10_N10_EachUserEachGroupEachModel(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 100, 102, chat("sk-alice", "gpt-4"))
		mustPass(t, s, 100, 102, chat("sk-alice", "claude"))
		mustPass(t, s, 100, 102, chat("sk-carol", "gpt-4"))
		mustPass(t, s, 0, 2, chat("sk-alice", "gpt-4"))
		// A model that there is not opens no bucket: it is refused before.
		for _, body := range []string{`{"model":"gpt-4x"}`, `{"model":7}`, `{}`, ``, `no JSON`} {
			if answer := answered(t, s, ask("sk-alice", body)); answer.Status != http.StatusNotFound {
				t.Errorf("%s: %s %s", body, answer.Proto, answer.Body)
			}
		}
		plain := chat("sk-alice", "gpt-4", "Content-Type", "text/plain")
		if answer := answered(t, s, plain); answer.Status != http.StatusNotFound {
			t.Errorf("a body of no type: %s %s", answer.Proto, answer.Body)
		}
		// The list of models is no model.
		list := stage.Request{Path: "/v1/models", Header: plain.Header}
		mustPass(t, s, 100, 102, list)
	})
}

// With Redis, what one Envoy's weir admits another's knows; without it each goes
// on by itself, with the same rules, from the next request on.
func TestM11_M24_SharedInRedisAndInMemoryWithoutIt(t *testing.T) {
	s := stagetest.Start(t, example(), "redis")
	if len(s.Envoys) < 2 || len(s.Weirs) < 2 {
		t.Fatalf("%d Envoys, %d weirs", len(s.Envoys), len(s.Weirs))
	}
	mustPass(t, s, 100, 120, chat("sk-alice", "gpt-4"))
	if err := s.Lose(s.Redis.Process); err != nil {
		t.Fatal(err)
	}
	carol := withoutReceipt(chat("sk-carol", "gpt-4"))
	mustPass(t, s, 40, 40, carol)
	counts, err := s.Repeat(t.Context(), 200, carol)
	if err != nil || counts[200]+counts[429] != 200 || counts[429] == 0 {
		t.Errorf("without Redis: %v %v, want that the limit still holds", counts, err)
	}
	if sum := 40 + counts[200]; sum > 200 {
		t.Errorf("%d passed without Redis, more than each of two weirs has", sum)
	}
	for i, envoy := range s.Envoys {
		if failed, err := envoy.Stat("cluster.llm.ratelimit.error"); err != nil || failed != 0 {
			t.Errorf("Envoy %d passed or refused %d without a verdict, %v", i, failed, err)
		}
	}
}

func TestM26_M27_LimitsOfAKey(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 30, 40, chat("sk-ci", "gpt-4"))
		mustPass(t, s, 0, 2, chat("sk-ci", "claude")) // all models together
		mustPass(t, s, 50, 50, chat("sk-bob", "gpt-4"))
	})
	daily := edited(t, "rate: 30/min", "rate: 1000/min", "rate: 500/day", "rate: 20/day")
	stagetest.OnEachStore(t, daily, func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 20, 25, chat("sk-ci", "gpt-4"))
		answer := answered(t, s, chat("sk-ci", "gpt-4"))
		if seconds := secondsToMidnight(); answer.Header.Get("Retry-After") != seconds(0) && answer.Header.Get("Retry-After") != seconds(1) {
			t.Errorf("Retry-After %s, but UTC's midnight is in %s s", answer.Header.Get("Retry-After"), seconds(0))
		}
	})
}

func TestM29_TheSiteByAddressAndSearchByUser(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		from := func(path string) stage.Request { return stage.Request{Path: path, From: "127.0.0.7"} }
		mustPass(t, s, 60, 62, from("/pricing"))
		mustPass(t, s, 180, 182, from("/api/status"))
		mustPass(t, s, 20, 22, from("/api/user/login"))
		mustPass(t, s, 10, 12, from("/api/upload"))
		mustPass(t, s, 5, 5, stage.Request{Path: "/api/upload", From: "127.0.0.8"})
		search := stage.Request{Path: "/api/search?q=x", Header: map[string]string{"Authorization": "Bearer sk-alice"}}
		mustPass(t, s, 10, 12, search)
		search.Header = map[string]string{"Authorization": "Bearer sk-alice-vip"}
		mustPass(t, s, 0, 2, search) // the user, not the key
		if answer := answered(t, s, from("/api/search")); answer.Status != http.StatusUnauthorized {
			t.Errorf("search without a key: %s", answer.Proto)
		}
	})
}
