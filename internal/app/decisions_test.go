package app_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-rls/weir/events"
	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// decisions are the lines of the decision log so far.
func (r *replica) decisions() (all []events.Event) {
	r.t.Helper()
	for line := range strings.Lines(r.log.String()) {
		var told struct{ Event events.Event }
		if json.Unmarshal([]byte(line), &told) == nil && told.Event.Kind == events.Decided {
			all = append(all, told.Event)
		}
	}
	return all
}

func logged(which string, sample, perSecond int) func(*config.Settings) {
	return func(s *config.Settings) {
		s.DecisionLog, s.DecisionLogSample, s.DecisionLogPerSecond = which, sample, perSecond
	}
}

// Who asks why he was refused a minute ago is answered by one line.
func TestDecisionLog_TellsWhoAskedAndWhatDecided(t *testing.T) {
	c := partstest.NewCollector(t)
	r := start(t, "domain: d\npassive: [request_id]\ndescriptors: [{key: user, limits: [{name: per-user, rate: 2/hour}]}]",
		tracing(t, c.Addr, logged(config.DecisionLogAll, 1, 1000)))
	message := append(wire("d", "user", "u"), field(2, string(field(1, string(field(1, "request_id"))+string(field(2, "r-1")))))...)
	for range 3 {
		if _, err := r.callWith(sampled(t), message); err != nil {
			t.Fatal(err)
		}
	}
	partstest.Eventually(t, patient, "three lines", func() bool { return len(r.decisions()) == 3 })
	for i, e := range r.decisions() {
		d := e.Decision
		if e.Domain != "d" || e.Limit != "per-user" || e.RequestID != "r-1" || d.TraceID != traceID || d.Seconds <= 0 || d.Remaining == nil || *d.Remaining != int64(max(0, 1-i)) ||
			len(d.Descriptors) != 2 || d.Descriptors[0][0] != (events.Entry{Key: "user", Value: "u"}) {
			t.Errorf("line %d: %+v %+v", i, e, d)
		}
		if want := [...]string{"ok", "ok", "over_limit"}[i]; d.Verdict != want || (d.Reason == "limit") != (i == 2) {
			t.Errorf("line %d: %s because of %q, want %s", i, d.Verdict, d.Reason, want)
		}
	}
}

// What the rules hide stays hidden, and where there are no rules that could say so no value
// is shown at all.
func TestDecisionLog_ShowsNoValueThatIsHidden(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, "domain: d\nkeys: {hash: hmac-sha256, secret_file: "+secret+"}\ndescriptors: [{key: user, limits: [{rate: 9/hour}]}]", func(s *config.Settings) {
		logged(config.DecisionLogAll, 1, 1000)(s)
		s.MaxKeyBytes = 20
	})
	for _, message := range [][]byte{
		wire("d", "user", "private"), wire("unknown", "user", "private"), wire("d", "a key of more than 20 bytes", "private"), wire("d", "weir.receipt", "private"), wire("", "user", "private"),
	} {
		_, _ = r.call(message)
	}
	partstest.Eventually(t, patient, "five lines", func() bool { return len(r.decisions()) == 5 })
	if text := r.log.String(); strings.Contains(text, "private") || strings.Contains(text, `"unknown"`) || !strings.Contains(text, `"value":"hmac:`) {
		t.Errorf("the log:\n%s", text)
	}
}

// A flood of refusals is so many lines a second, and the others are counted.
func TestDecisionLog_IsBoundedAndCountsWhatItDrops(t *testing.T) {
	r := start(t, oneRule, logged(config.DecisionLogRefused, 1, 3))
	const calls = 500
	for range calls {
		if _, err := r.call(wire("d", "user", "u")); err != nil {
			t.Fatal(err)
		}
	}
	sum := func() (lines, dropped int) {
		return int(r.metric(`weir_events_total{sink="decisions"}`)), int(r.metric(`weir_events_dropped_total{sink="decisions"}`))
	}
	partstest.Eventually(t, patient, "all refused are written or counted", func() bool { lines, dropped := sum(); return lines+dropped == calls-2 })
	if lines, dropped := sum(); lines < 3 || dropped == 0 || len(r.decisions()) != lines {
		t.Errorf("%d lines, of which the log has %d, and %d dropped", lines, len(r.decisions()), dropped)
	}
}

// Of the admitted one in N is logged, of the refused each.
func TestDecisionLog_SamplesWhatWasAdmitted(t *testing.T) {
	r := start(t, "domain: d\ndescriptors: [{key: user, limits: [{rate: 1000000/s}]}, {key: none, limits: [{rate: 0/s}]}]", logged(config.DecisionLogAll, 10, 100_000))
	for range 1000 {
		if _, err := r.call(wire("d", "user", "u")); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		_, _ = r.call(wire("d", "none", "u"))
	}
	tally := func() map[string]int {
		of := map[string]int{}
		for _, e := range r.decisions() {
			of[e.Decision.Verdict]++
		}
		return of
	}
	partstest.Eventually(t, patient, "all refused are logged", func() bool { return tally()["over_limit"] == 20 })
	if n := tally()["ok"]; n < 40 || n > 200 { // ten standard deviations around 100, nearly
		t.Errorf("%d of 1000 admitted are logged, want about 100", n)
	}
}
