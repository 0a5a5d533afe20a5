package app_test

import (
	"strconv"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const slotRules = `
domain: d
descriptors:
  - {key: job, limits: [{name: jobs, algorithm: concurrency, slots: 1, slot_ttl: 1h}]}
  - {key: call, limits: [{name: calls, rate: 1/min, max_wait: 1h}]}
`

func (r *replica) ask(key, value string) *rls.RateLimitResponse {
	r.t.Helper()
	answer, err := r.call(wire("d", key, value))
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

func (r *replica) admits(key, value string) bool {
	return r.ask(key, value).OverallCode == rls.RateLimitResponse_OK
}

// Envoy sends a receipt to any replica. They need no setting for it: the first to
// come makes a key and leaves it in Redis, and a Redis that lost it gets it back.
func TestAnyReplicaRedeemsAReceipt(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	shared := func(s *config.Settings) {
		s.Store, s.RedisURL, s.StoreTimeout = config.StoreRedis, config.RedisURL(server.URL), 5*time.Second
	}
	one, other := start(t, slotRules, shared), start(t, slotRules, shared)
	job := 0
	partstest.Eventually(t, 10*time.Second, "a replica redeems what another one issued", func() bool {
		job++ // until both have the key
		taken := one.ask("job", strconv.Itoa(job))
		other.ask("weir.receipt", taken.DynamicMetadata.Fields["receipt"].GetStringValue())
		return one.admits("job", strconv.Itoa(job))
	})
}

func TestAKeyFromTheSettingsIsUsed(t *testing.T) {
	same := func(s *config.Settings) { s.ReceiptKey = "0123456789abcdef0123456789abcdef" }
	one, other := start(t, slotRules, same), start(t, slotRules, same)
	receipt := one.ask("job", "x").DynamicMetadata.Fields["receipt"].GetStringValue()
	other.ask("weir.receipt", receipt)
	if got := other.metric(`weir_receipts_total{result="redeemed"}`); got != 1 {
		t.Errorf("%v receipts redeemed with the key of the settings", got)
	}
	stranger := start(t, slotRules, nil)
	stranger.ask("weir.receipt", receipt)
	if got := stranger.metric(`weir_receipts_total{result="forged"}`); got != 1 {
		t.Errorf("%v receipts of another key were refused", got)
	}
}

// Who waits when a replica is to stop is told to come back instead of being cut
// off, which Envoy would take for a failure and may admit.
func TestADrainAnswersWhoWaits(t *testing.T) {
	r := start(t, slotRules, nil)
	if !r.admits("call", "x") {
		t.Fatal("the first call is refused")
	}
	answers := make(chan *rls.RateLimitResponse, 1)
	go func() {
		answer, _ := r.call(wire("d", "call", "x"))
		answers <- answer
	}()
	partstest.Eventually(t, 10*time.Second, "the second call waits", func() bool { return r.metric("weir_waiting_requests") == 1 })
	r.stop()
	select {
	case answer := <-answers:
		if answer.GetOverallCode() != rls.RateLimitResponse_OVER_LIMIT || answer.GetStatuses()[0].GetDurationUntilReset().GetSeconds() < 50 {
			t.Errorf("answered %v, want a refusal with the rest of the minute", answer)
		}
	case <-time.After(10 * time.Second):
		t.Error("not answered")
	}
}

// A reload is for those who wait already too.
func TestAReloadIsSeenByWhoWaits(t *testing.T) {
	rules := func(slots string) string {
		return "domain: d\ndescriptors: [{key: job, limits: [{name: jobs, algorithm: concurrency, slots: " + slots + ", slot_ttl: 1h, max_wait: 1h}]}]\n"
	}
	r := start(t, rules("1"), nil)
	if !r.admits("job", "x") {
		t.Fatal("the first job is refused")
	}
	answers := make(chan *rls.RateLimitResponse, 1)
	go func() {
		answer, _ := r.call(wire("d", "job", "x"))
		answers <- answer
	}()
	partstest.Eventually(t, 10*time.Second, "the second job waits", func() bool { return r.metric("weir_waiting_requests") == 1 })
	r.writeRules(rules("2"))
	select {
	case answer := <-answers:
		if answer.GetOverallCode() != rls.RateLimitResponse_OK {
			t.Errorf("answered %v", answer)
		}
	case <-time.After(10 * time.Second):
		t.Error("still waiting for the one slot that there was")
	}
}
