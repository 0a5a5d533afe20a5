package simulate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// traced is a trace of CSV.
func traced(t *testing.T, lines string, mapping ...string) Source {
	t.Helper()
	s, err := CSV(formatOf(t, mapping...), bufio.NewReader(strings.NewReader(lines)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func report(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Report) limit(t *testing.T, name string) *LimitReport {
	t.Helper()
	for i := range r.Limits {
		if r.Limits[i].Limit == name {
			return &r.Limits[i]
		}
	}
	t.Fatalf("no limit %s in %+v", name, r.Limits)
	return nil
}

const endingRules = `
domain: shop
descriptors:
  - {key: job, limits: [{name: jobs, algorithm: concurrency, slots: 1, slot_ttl: 1m}]}
  - {key: user, limits: [{name: good, algorithm: fixed_window, rate: 2/hour, count: success}]}
`

// A request ends as the trace says, at its time: a slot is free then, and a failure counts
// for nothing. Where the trace does not say, what is assumed is told.
func TestRequestsEndAsTheTraceSays(t *testing.T) {
	rules := loadRules(t, endingRules)
	r := report(t, Options{Rules: rules, AssumeStatus: 200, Trace: traced(t, "time,job,duration\n10,a,1500\n11,a,1\n11.4,a,1\n11.6,a,1\n")})
	if l := r.limit(t, "jobs"); l.Admitted != 2 || l.Refused != 2 || len(r.Notes) != 0 {
		t.Errorf("%+v %v, want the slot free after 1.5 s", l.Counts, r.Notes)
	}
	r = report(t, Options{Rules: rules, AssumeStatus: 200, Trace: traced(t, "time,user,status,duration\n10,a,500,1\n11,a,200,1\n12,a,503,1\n13,a,200,1\n14,a,200,1\n")})
	if l := r.limit(t, "good"); l.Admitted != 4 || l.Refused != 1 {
		t.Errorf("%+v, want two failures that count for nothing", l.Counts)
	}
	const unknown = "time,job,user\n10,a,b\n11,a,b\n11.6,a,b\n13,,b\n"
	r = report(t, Options{Rules: rules, AssumeStatus: 500, AssumeDuration: 1200 * time.Millisecond, Trace: traced(t, unknown)})
	if jobs, good := r.limit(t, "jobs"), r.limit(t, "good"); jobs.Refused != 1 || good.Refused != 0 || good.OtherRefused != 1 {
		t.Errorf("%+v, %+v", jobs, good)
	}
	want := []string{
		"how a request ends decides over limits that 3 of those admitted meet, and the trace does not tell: taken to be status 500 (--assume-status)",
		"when a request ends decides over limits that 3 of those admitted meet, and the trace does not tell: taken to be after 1.2s (--assume-duration)",
	}
	if fmt.Sprint(r.Notes) != fmt.Sprint(want) {
		t.Errorf("%q", r.Notes)
	}
}

// The values of a pattern with share_threshold use one limit up, and what else the reference
// service's rules may say changes no count.
func TestValuesOfASharedPatternUseOneLimitUp(t *testing.T) {
	rules := loadRules(t, `
domain: shop
descriptors:
  - {key: file, value: "a*", share_threshold: true, detailed_metric: true, rate_limit: {name: shared, unit: hour, requests_per_unit: 2}, metadata: {team: web}}
  - {key: file, value: "b*", value_to_metric: true, rate_limit: {name: apart, unit: hour, requests_per_unit: 2}}
`)
	r := report(t, Options{Rules: rules, Trace: traced(t, "time,file\n10,a1\n11,a2\n12,a3\n13,b1\n14,b2\n15,b3\n")})
	if shared, apart := r.limit(t, "shared"), r.limit(t, "apart"); shared.Admitted != 2 || shared.Refused != 1 || apart.Admitted != 3 {
		t.Errorf("%+v, %+v", shared.Counts, apart.Counts)
	}
}

// Of each limit what it admitted, refused and left to others adds up, over every kind of
// limit, and so does what is told over time.
func TestCountsAddUp(t *testing.T) {
	r := report(t, Options{Rules: loadRules(t, everyKind), Trace: kindsOf(t, everyLoad, 5000)})
	if q := r.Requests; q.Requests < 4900 || q.Admitted+q.Refused != q.Requests || r.Refused.Limit != q.Refused || q.Waited == 0 {
		t.Errorf("%+v %+v", q, r.Refused)
	}
	sum := func(all []int64) (n int64) {
		for _, one := range all {
			n += one
		}
		return n
	}
	if a, d := sum(r.Course.Admitted), sum(r.Course.Refused); a != r.Requests.Admitted || d != r.Requests.Refused {
		t.Errorf("%d admitted and %d refused over time, want %+v", a, d, r.Requests)
	}
	for _, l := range r.Limits {
		if n := l.Admitted + l.Refused + l.OtherRefused + l.ShadowRefused + l.OtherQuota; n != l.Requests || l.Requests == 0 {
			t.Errorf("%s: %d of %+v", l.Limit, n, l)
		}
		if a, d := sum(l.Course.Admitted), sum(l.Course.Refused); a != l.Admitted || d != l.Refused+l.ShadowRefused+l.OtherQuota {
			t.Errorf("%s: %d admitted and %d refused over time, of %+v", l.Limit, a, d, l.Counts)
		}
	}
}

// What changes between two rule files is told of each request once, with why.
func TestAgainst_TellsWhoGetsAnotherVerdict(t *testing.T) {
	before, after := loadRules(t, userRules), loadRules(t, strings.Replace(userRules, "burst: 20", "burst: 2, max_wait: 1s, max_waiters: 1", 1))
	r := report(t, Options{Rules: after, Against: before, Changes: 2, Trace: traced(t, "time,user\n10,a\n10.1,a\n10.2,a\n10.3,a\n10.4,b\n")})
	a := r.Against
	if a.NowRefused != 1 || a.NowAdmitted != 0 || a.Longer != 1 || a.Requests.Admitted != 5 || r.Requests.Admitted != 4 || r.Requests.Waited != 1 {
		t.Errorf("%+v, %+v", a, r.Requests)
	}
	if len(a.Limits) != 1 || a.Limits[0].Before.Refused != 0 || a.Limits[0].After.Refused != 1 {
		t.Errorf("%+v", a.Limits)
	}
	want := `line 5: [user=a] allow "per-user has 16 of 20 left afterwards" -> deny "per-user (60 per minute) has 0 of 2 left, and the request costs 1; in 1.7s it would pass"`
	if len(a.Changes) != 1 {
		t.Fatalf("%+v", a.Changes)
	}
	c := a.Changes[0]
	if got := fmt.Sprintf("line %d: %v %s %q -> %s %q", c.Line, c.Descriptors, c.Before.Verdict, c.Before.Why, c.After.Verdict, c.After.Why); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	same := report(t, Options{Rules: before, Against: loadRules(t, userRules), Changes: 2, Trace: kindsOf(t, strings.Replace(everyLoad, "kind=one-of(bucket,", "kind=one-of(user,", 1), 2000)})
	if a := same.Against; a.NowRefused+a.NowAdmitted+a.Longer+a.Shorter+a.OtherLimit != 0 || len(a.Limits) != 0 {
		t.Errorf("the same rules differ: %+v", a)
	}
}

// Values that the rules hide are hidden in reports: of who was refused most, and of who
// gets another verdict.
func TestHiddenValuesStayHidden(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, bytes.Repeat([]byte("s"), 32), 0o600); err != nil {
		t.Fatal(err)
	}
	hidden := strings.Replace(userRules, "domain: shop", "domain: shop\nkeys: {hash: hmac-sha256, secret_file: "+secret+", entries: [user]}", 1)
	r := report(t, Options{
		Rules: loadRules(t, strings.Replace(hidden, "burst: 20", "burst: 1", 1)), Against: loadRules(t, hidden), Changes: 5,
		Trace: traced(t, "time,user\n10,jane@example\n10,jane@example\n10,jane@example\n"),
	})
	page, err := r.Page(Names{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil || len(r.TopKeys) != 1 || len(r.Against.Changes) != 2 || !strings.HasPrefix(r.TopKeys[0].Descriptor, "user=") {
		t.Errorf("%v, %s", err, text)
	}
	if strings.Contains(string(text)+string(page), "jane") {
		t.Errorf("a hidden value is told: %s", text)
	}
}

// A course and a sketch are as large as they may be, however long the trace and however
// many the keys.
func TestLongTracesAndManyKeysTakeNoMoreMemory(t *testing.T) {
	c := newCourse(0)
	for at := int64(1); at < 1<<62; at *= 2 {
		c.count(at, at%3 == 0)
		if len(c.parts) > mostParts {
			t.Fatalf("%d parts", len(c.parts))
		}
	}
	total := int64(0)
	for _, p := range c.parts {
		total += p.admitted + p.refused
	}
	if total != 62 {
		t.Errorf("%d of 62 are counted", total)
	}
	s := newSketch()
	for i := range 100_000 {
		s.add(fmt.Sprint("rare", i))
		if i%10 == 0 {
			s.add("often")
		}
	}
	counted := int64(0)
	for _, k := range s.keys { // of each key that comes, one is counted, of it or of whom it displaces
		counted += k.count
	}
	if counted != 110_000 {
		t.Errorf("%d of 110000 are counted", counted)
	}
	top := s.top(1)[0]
	if len(s.keys) > mostKeys || len(s.at) > mostKeys || top.key != "often" || top.count < 10_000 || top.count-top.over > 10_000 {
		t.Errorf("%d keys, %+v", len(s.keys), top)
	}
}

// Who stops a simulation gets what was judged until then.
func TestAStoppedSimulationReportsWhatItHas(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	source := &stopping{Source: kindsOf(t, everyLoad, 10_000), stop: stop}
	r, err := Run(ctx, Options{Rules: loadRules(t, everyKind), Trace: source})
	if !errors.Is(err, context.Canceled) || r == nil || r.Requests.Requests < 2000 || r.Requests.Requests > 4000 {
		t.Errorf("%v, %+v", err, r)
	}
}

type stopping struct {
	Source
	stop func()
	rows int
}

func (s *stopping) Next() (*Row, error) {
	if s.rows++; s.rows == 2500 {
		s.stop()
	}
	return s.Source.Next()
}

// A bad line ends the run with its place, or is skipped.
func TestABadLineEndsTheRunUnlessItIsToBeSkipped(t *testing.T) {
	const lines = "time,user\n1,a\nx,a\n2,a\ny,a\n"
	rules := loadRules(t, userRules)
	_, err := Run(t.Context(), Options{Rules: rules, Trace: traced(t, lines)})
	var bad *BadLine
	if !errors.As(err, &bad) || bad.Line != 3 {
		t.Errorf("%v", err)
	}
	r := report(t, Options{Rules: rules, SkipBadLines: true, Trace: traced(t, lines)})
	if r.Requests.Requests != 2 || r.Trace.BadLines != 2 || !strings.HasPrefix(r.Trace.FirstBad, "trace:3: ") {
		t.Errorf("%+v %+v", r.Requests, r.Trace)
	}
}
