package bench

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Costs are by decision: requests that failed are none.
func TestReport_DividesByDecisions(t *testing.T) {
	tally := newTally()
	for range 60 {
		tally.answered("ok", 2*time.Millisecond)
	}
	for range 40 {
		tally.answered("over_limit", 20*time.Millisecond)
	}
	tally.failed("Unavailable", false, time.Hour)
	l := someLoad()
	l.Rate = 50
	r := newReport(l, Run{Elapsed: 2 * time.Second, Unsent: 7, tally: tally}, 42, cost{
		server: &Usage{CPU: 3 * time.Millisecond, User: 2 * time.Millisecond, System: time.Millisecond, RSS: 5 << 20, PeakRSS: 6 << 20},
		redis:  &RedisCounters{CPU: 500 * time.Microsecond, Commands: map[string]int64{"evalsha": 50, "get": 200}, UsedMemory: 1 << 20},
	})
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{
		`"loop":"open"`, `"rate":50`, `"in_flight":4`, `"connections":2`, `"seconds":2,`, `"requests":100,`, `"requests_per_second":50,`,
		`"verdicts":{"ok":60,"over_limit":40}`, `"errors":{"Unavailable":1}`, `"unsent":7`,
		`"server":{"pid":42,"cpu_us_per_decision":30,"user_us_per_decision":20,"system_us_per_decision":10,"rss_bytes":5242880,"peak_rss_bytes":6291456}`,
		`"redis":{"cpu_us_per_decision":5,"commands_per_decision":0.5,"calls_per_decision":{"evalsha":0.5,"get":2},"used_memory_bytes":1048576}`,
	} {
		if !strings.Contains(string(encoded), field) {
			t.Errorf("no %s in %s", field, encoded)
		}
	}
	for _, line := range []string{
		"load         open loop, 50/s, at most 4 in flight, 2 connections, 10 keys (uniform), 1 descriptor\n",
		"requests     100 in 2.00 s, 50/s\n", "latency      p50 2.00 ms  p90 20.0 ms  p99 20.0 ms  p99.9 20.0 ms  max 20.0 ms\n",
		"verdicts     ok 60 (60.0 %)  over_limit 40 (40.0 %)\n", "errors       Unavailable 1\n", "unsent       7 requests were due and not sent",
		"server       30.0 us CPU per decision (20.0 user, 10.0 system), 5.0 MiB of memory, at most 6.0 MiB (process 42)\n",
		"Redis        5.0 us CPU and 0.500 commands per decision, 1.0 MiB of memory\n", "evalsha 0.500  get 2.000\n",
	} {
		if !strings.Contains(r.Text(), line) {
			t.Errorf("no %q in\n%s", line, r.Text())
		}
	}
}
