package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

// holding waits until the model holds n requests.
func holding(t *testing.T, s *stage.Stage, n int) {
	t.Helper()
	reach(t, fmt.Sprint(n, " requests are held"), func() bool {
		there, err := held(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return there == n
	})
}

// A success counts from the request on, so that those that run side by side cannot
// pass together; one that fails is given back when it has ended, a stream when it
// has ended after all.
func TestM18_AStreamCountsWhenItHasEndedAndAFailureNot(t *testing.T) {
	small := edited(t, `"default": [200, 100]`, `"default": [0, 4]`)
	stagetest.OnEachStore(t, small, func(t *testing.T, s *stage.Stage) {
		stream := `{"model":"gpt-4","max_tokens":5,"stream":true,"messages":[]}`
		done := make(chan map[int]int, 2)
		go func() { done <- s.Burst(t.Context(), 2, ask("sk-alice", stream, "X-Hold", "yes")) }()
		go func() { done <- s.Burst(t.Context(), 2, ask("sk-alice", stream, "X-Hold", "yes", "X-Fail", "500")) }()
		holding(t, s, 4)
		mustPass(t, s, 0, 3, chat("sk-alice", "gpt-4"))
		before := redeemed(t, s)
		if err := letGo(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if counts := <-done; counts[200]+counts[500] != 2 {
				t.Errorf("%v", counts)
			}
		}
		reach(t, "the ends are told", func() bool { return redeemed(t, s) >= before+4 })
		mustPass(t, s, 2, 4, chat("sk-alice", "gpt-4")) // two streams have succeeded
	})
}

// Five at once; as many again when they have ended, one of them because its client
// has left.
func TestM28_FiveAtOnce(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		done := make(chan map[int]int, 1)
		held := chat("sk-dave", "gpt-4", "X-Hold", "yes")
		go func() { done <- s.Burst(t.Context(), 5, held) }()
		holding(t, s, 5)
		mustPass(t, s, 0, 3, chat("sk-dave", "claude"))
		mustPass(t, s, 3, 3, chat("sk-erin", "gpt-4")) // of no group: unlimited
		if err := letGo(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if counts := <-done; counts[200] != 5 {
			t.Errorf("%v", counts)
		}
		reach(t, "the slots are free", func() bool { return redeemed(t, s) >= 8 })
		mustPass(t, s, 3, 3, chat("sk-dave", "claude"))
	})
}

func TestM28_RequestsAMinuteAndADay(t *testing.T) {
	roomy := func(more ...string) func() stage.Example { return edited(t, append(more, "slots: 5", "slots: 500")...) }
	stagetest.OnEachStore(t, roomy(), func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 30, 30, chat("sk-dave", "gpt-4"))
		mustPass(t, s, 30, 40, chat("sk-dave", "claude")) // both models together
	})
	stagetest.OnEachStore(t, roomy("rate: 1000/day", "rate: 12/day"), func(t *testing.T, s *stage.Stage) {
		mustPass(t, s, 12, 15, chat("sk-dave", "gpt-4"))
	})
}

// Tokens are charged when an answer has ended, streamed or not, also beyond what
// is left; the next request waits for the debt to pass.
func TestM28_TokensAMinuteAndADay(t *testing.T) {
	const settledTokens = `weir_decisions_total{domain="llm",limit="trial-tpm",outcome="settled"}`
	use := func(t *testing.T, s *stage.Stage, tokens int, stream bool) {
		t.Helper()
		before := metric(t, s, settledTokens)
		body := fmt.Sprintf(`{"model":"gpt-4","max_tokens":%d,"stream":%v,"messages":[]}`, tokens, stream)
		answer := answered(t, s, ask("sk-dave", body))
		if answer.Status != http.StatusOK || !strings.Contains(answer.Body, fmt.Sprintf(`"total_tokens":%d`, tokens)) {
			t.Fatalf("%s %s", answer.Proto, answer.Body)
		}
		reach(t, "its tokens are charged", func() bool { return metric(t, s, settledTokens) == before+1 })
	}
	refusedBy := func(t *testing.T, s *stage.Stage, limit string) {
		t.Helper()
		denied := `weir_decisions_total{domain="llm",limit="` + limit + `",outcome="denied"}`
		before := metric(t, s, denied)
		mustPass(t, s, 0, 1, chat("sk-dave", "claude"))
		if metric(t, s, denied) != before+1 {
			t.Errorf("not refused by %s", limit)
		}
	}
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		use(t, s, 60000, false)
		use(t, s, 39999, true)
		use(t, s, 60000, true) // one is left
		refusedBy(t, s, "trial-tpm")
	})
	daily := edited(t, "rate: 100000/min", "rate: 1000000/min", "rate: 1000000/day", "rate: 100000/day")
	stagetest.OnEachStore(t, daily, func(t *testing.T, s *stage.Stage) {
		use(t, s, 150000, true)
		refusedBy(t, s, "trial-tpd")
	})
}

// secondsToMidnight tells the seconds to UTC's next midnight, and those before them.
func secondsToMidnight() func(earlier int) string {
	now := time.Now().UTC()
	left := now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
	return func(earlier int) string { return strconv.Itoa(int((left+time.Second-1)/time.Second) + earlier) }
}
