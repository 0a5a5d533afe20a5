package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/stage"
	"github.com/weir-rls/weir/internal/stage/stagetest"
)

const down = "支付服務暫時不可用，請稍後再試"

func TestG07_G08_G09_TheBreakerOfThePaymentService(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		pay := as("grace", "fabrikam", "/api/payments")
		var begin time.Time
		for failed := range 5 {
			begin = time.Now() // before it opens
			if answer := ask(t, s, with(pay, "X-Fail", "503")); answer.Header.Get("X-Envoy-Ratelimited") != "" {
				t.Fatalf("refused after %d failures", failed)
			}
			told(t, s, int64(failed)+1)
		}
		if answer := ask(t, s, pay); answer.Status != http.StatusServiceUnavailable || !strings.Contains(answer.Body, down) {
			t.Errorf("an open breaker answered %s %s", answer.Proto, answer.Body)
		}
		served(t, s, as("grace", "fabrikam", "/api/orders")) // the others do not suffer
		err := stage.Until(t.Context(), 500*time.Millisecond, "it is tried again", func() (bool, error) {
			return ask(t, s, pay).Status == http.StatusOK, nil
		})
		if open := time.Since(begin); err != nil || open < 5*time.Second {
			t.Fatalf("tried again after %v: %v", open, err)
		}
		if counts, err := s.Repeat(t.Context(), 6, pay); err != nil || counts[http.StatusOK] != 6 {
			t.Errorf("a closed breaker: %v %v", counts, err)
		}
	})
}

// told waits until weir was told how n payments ended.
func told(t *testing.T, s *stage.Stage, n int64) {
	t.Helper()
	err := stage.Until(t.Context(), 5*time.Millisecond, "weir is told how a payment ended", func() (bool, error) {
		redeemed, err := s.Redeemed()
		return redeemed >= n, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The breaker is the last filter: what those before it refuse is neither a
// failure of the service nor a success.
func TestG07_ARefusalIsNoAnswerOfTheService(t *testing.T) {
	stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
		pay := as("grace", "fabrikam", "/api/payments")
		refused := func() {
			t.Helper()
			for range 6 {
				if answer := ask(t, s, with(pay, "Authorization", "")); answer.Status != http.StatusUnauthorized {
					t.Fatalf("%s", answer.Proto)
				}
			}
			if answer := ask(t, s, as("frank", "trial", "/api/payments")); answer.Status != http.StatusForbidden {
				t.Fatalf("%s", answer.Proto)
			}
		}
		if counts, err := s.Repeat(t.Context(), 20, as("frank", "trial", "/api/users")); err != nil || counts[http.StatusOK] != 20 {
			t.Fatalf("%v %v", counts, err)
		}
		refused()
		if answer := ask(t, s, pay); answer.Status != http.StatusOK {
			t.Fatalf("after refusals alone: %s %s", answer.Proto, answer.Body)
		}
		for failed := range 5 {
			if failed == 4 {
				refused()
			}
			if answer := ask(t, s, with(pay, "X-Fail", "500")); answer.Status != http.StatusInternalServerError {
				t.Fatalf("%s %s", answer.Proto, answer.Body)
			}
			told(t, s, int64(failed)+2) // the success before them too, and no refusal
		}
		if answer := ask(t, s, pay); !strings.Contains(answer.Body, down) {
			t.Errorf("after five failures with refusals between them: %s %s", answer.Proto, answer.Body)
		}
	})
}

func TestG24_NobodyWaitsForATimeOut(t *testing.T) {
	t.Run("of a service that does not answer", func(t *testing.T) {
		stagetest.OnEachStore(t, example, func(t *testing.T, s *stage.Stage) {
			pay := as("grace", "fabrikam", "/api/payments")
			begin := time.Now()
			counts := s.Burst(t.Context(), 5, with(pay, "X-Fail", "hang"))
			if took := time.Since(begin); counts[http.StatusGatewayTimeout] != 5 || took > 5*time.Second {
				t.Fatalf("%v in %v, want five time-outs of 1 s", counts, took)
			}
			err := stage.Until(t.Context(), 50*time.Millisecond, "the breaker opens", func() (bool, error) {
				begin := time.Now()
				answer := ask(t, s, pay)
				took := time.Since(begin)
				opened := strings.Contains(answer.Body, down)
				if opened && took > 500*time.Millisecond {
					t.Errorf("refused after %v, the service's time-out is 1 s", took)
				}
				return opened, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("of a store that does not answer", func(t *testing.T) {
		s := stagetest.Start(t, example(), "redis")
		served(t, s, as("bob", "contoso", "/api/users"))
		if err := s.Redis.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Redis.Signal(syscall.SIGCONT) })
		begin := time.Now()
		served(t, s, as("bob", "contoso", "/api/users")) // judged by weir in its own memory
		if took := time.Since(begin); took > 2900*time.Millisecond {
			t.Errorf("answered after %v, Envoy's own time-out is 3 s", took)
		}
		for _, envoy := range s.Envoys {
			if failed, err := envoy.Stat("cluster.users.ratelimit.error"); err != nil || failed != 0 {
				t.Errorf("%d requests without a verdict, %v", failed, err)
			}
		}
	})
}
