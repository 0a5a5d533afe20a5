package ruletest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Result is what became of one test file.
type Result struct {
	File     string       `json:"file"`
	Cases    []CaseResult `json:"cases"`
	Faults   []string     `json:"faults,omitempty"` // of the test file or its rules: nothing was run
	Requests int          `json:"requests"`         // that were asked

	Text string `json:"-"` // of the faults, with their places, for a reader at a terminal
}

// CaseResult is what became of one case.
type CaseResult struct {
	Name     string    `json:"name"`
	Passed   bool      `json:"passed"`
	Failures []Failure `json:"failures,omitempty"`
}

// Failure is an expectation that was not met, or a step that cannot be done.
type Failure struct {
	Place    string `json:"place"` // file:line:column
	Message  string `json:"message"`
	Expected string `json:"expected,omitempty"`
	Got      string `json:"got,omitempty"`
	Clock    string `json:"clock"` // since the case began

	// Why is what was explained of the request, before it was asked the last time.
	Why *descriptors.Explanation `json:"why,omitempty"`

	Fault descriptors.Fault `json:"-"`
}

// Failed tells that something is not as it should be.
func (r *Result) Failed() bool { return len(r.Faults) > 0 || r.Count(false) > 0 }

// Count is how many cases passed, or failed.
func (r *Result) Count(passed bool) (n int) {
	for _, c := range r.Cases {
		if c.Passed == passed {
			n++
		}
	}
	return n
}

// Run runs the cases of a test file.
func Run(name string, options descriptors.Options) Result {
	r := Result{File: name, Cases: []CaseResult{}}
	file, faults := descriptors.ReadTests(name)
	var rules *descriptors.Rules
	if file != nil {
		rules, faults = descriptors.Load(file.Rules, options)
	}
	if file == nil || rules == nil || faults.Failed() {
		if len(faults) == 0 {
			faults = descriptors.Faults{{File: name, Message: "there is no rule file in " + strings.Join(file.Rules, ", ")}}
		}
		r.Text = faults.Text()
		for _, f := range faults {
			r.Faults = append(r.Faults, f.Error())
		}
		return r
	}
	for i := range file.Cases {
		c := run{replica: New(rules, Options{Start: file.Start}), rules: rules, start: file.Start}
		for k := range file.Cases[i].Steps {
			if !c.step(&file.Cases[i].Steps[k]) {
				break
			}
		}
		r.Requests += c.requests
		r.Cases = append(r.Cases, CaseResult{file.Cases[i].Name, len(c.failures) == 0, c.failures})
	}
	return r
}

// run is a case while it runs.
type run struct {
	replica  *Replica
	rules    *descriptors.Rules
	start    time.Time
	open     []receipt // of requests that have not ended, the oldest first
	requests int
	failures []Failure
}

type receipt struct{ domain, text string }

// fail tells of a failure at a place.
func (c *run) fail(at descriptors.Spot, why *descriptors.Explanation, message, expected, got string) {
	told := message
	if expected != "" {
		told += ": expected " + expected + ", got " + got
	}
	clock := c.replica.now.Sub(c.start)
	fault := at.Fault(told, "")
	c.failures = append(c.failures, Failure{
		Place: fmt.Sprintf("%s:%d:%d", fault.File, fault.Line, fault.Column), Message: message, Expected: expected, Got: got,
		Clock: clock.String(), Why: why, Fault: fault,
	})
}

// step does one step, and tells whether the next can be done. A case goes on after an
// expectation that was not met, so that one run tells all of them.
func (c *run) step(s *descriptors.TestStep) bool {
	if s.Until != nil {
		if at := c.start.Add(*s.Until); at.Before(c.replica.now) {
			c.fail(s.At, nil, "the clock is past this time, moved by a step before or by who was held", c.replica.now.Sub(c.start).String()+" or later", s.Until.String())
			return false
		} else if at.After(c.replica.now) {
			c.replica.now = at
		}
	}
	c.replica.now = c.replica.now.Add(s.Advance)
	switch {
	case s.End != nil:
		return c.end(s)
	case s.Request != nil:
		return c.request(s)
	}
	return true
}

// end ends requests that were admitted before.
func (c *run) end(s *descriptors.TestStep) bool {
	count := int(s.End.Count)
	if len(c.open) < max(count, 1) {
		c.fail(s.At, nil, "there are fewer requests whose end changes anything", fmt.Sprint(max(count, 1)), fmt.Sprint(len(c.open)))
		return false
	}
	if count == 0 {
		count = len(c.open)
	}
	for _, r := range c.open[:count] {
		if err := c.replica.End(r.domain, r.text, s.End.Status); err != nil {
			c.fail(s.At, nil, err.Error(), "", "")
			return false
		}
	}
	c.open = slices.Clone(c.open[count:])
	return true
}

// told is what became of one request.
type told struct {
	verdict    descriptors.Verdict
	limit      string // that decided
	retryAfter time.Duration
	wait       time.Duration
	why        descriptors.Explanation
}

// request asks what a step asks, and holds it against what is expected.
func (c *run) request(s *descriptors.TestStep) bool {
	q := *s.Request
	if domains := c.rules.Domains(); q.Domain == "" && len(domains) == 1 {
		q.Domain = domains[0]
	} else if q.Domain == "" {
		c.fail(s.At, nil, "the rules have several domains: the request, or the file, must name one of "+strings.Join(domains, ", "), "", "")
		return false
	}
	var last told
	admitted, want := int64(0), s.Expect.Verdict
	for i := range s.Times {
		var err error
		if last, err = c.ask(q); err != nil {
			c.fail(s.At, nil, err.Error(), "", "")
			return false
		}
		if last.verdict != descriptors.Denied {
			admitted++
		}
		if want != "" && last.verdict != want && (s.Expect.Admitted == nil || i == s.Times-1) {
			of := "verdict"
			if s.Times > 1 {
				of = fmt.Sprintf("verdict of request %d of %d", i+1, s.Times)
			}
			c.fail(s.Expect.Spots["verdict"], &last.why, of, string(want), last.text())
			return true // what follows from it says nothing more
		}
	}
	c.hold(s, q, &last, admitted)
	return true
}

// text is the verdict with who decided it.
func (t *told) text() string {
	text := string(t.verdict)
	if t.verdict != descriptors.Allowed && t.limit != "" {
		text += " by " + t.limit
	}
	return text
}

// mostWaits bounds how often a request that is held asks anew.
const mostWaits = 1000

// ask asks once. Who would be held is: the clock moves until he is admitted.
func (c *run) ask(q descriptors.Request) (t told, err error) {
	c.requests++
	for range mostWaits {
		if t.why, err = c.replica.Explain(q); err != nil {
			return t, err
		}
		a := t.why.Answer
		if a == nil {
			return t, problem(t.why.Note)
		}
		if t.verdict != descriptors.Waits || a.Verdict == descriptors.Denied {
			t.verdict, t.limit = a.Verdict, a.Limit
			if a.Reason != "" && a.Reason != "limit" {
				t.limit = a.Reason
			}
		}
		if a.Verdict == descriptors.Waits && a.Wait > 0 {
			t.wait += time.Duration(a.Wait)
			c.replica.now = c.replica.now.Add(time.Duration(a.Wait))
			continue
		}
		if a.Verdict == descriptors.Waits { // for something that only another's end brings: he stays
			return t, nil
		}
		told, err := c.replica.ask(q)
		if err == nil && told.admitted != (a.Verdict == descriptors.Allowed) {
			err = errors.New("what is explained is not what is answered: please report this")
		}
		if told.receipt != "" {
			c.open = append(c.open, receipt{q.Domain, told.receipt})
		}
		t.retryAfter = told.retryAfter
		return t, err
	}
	return t, errors.New("the request asks again and again and is never admitted")
}

// hold tells what is expected and not so.
func (c *run) hold(s *descriptors.TestStep, q descriptors.Request, last *told, admitted int64) {
	e := &s.Expect
	if e.Admitted != nil && *e.Admitted != admitted {
		c.fail(e.Spots["admitted"], &last.why, "admitted", fmt.Sprintf("%d of %d", *e.Admitted, s.Times), fmt.Sprint(admitted))
	}
	if e.RetryAfter != nil && *e.RetryAfter != last.retryAfter {
		c.fail(e.Spots["retry_after"], &last.why, "retry_after", e.RetryAfter.String(), orNone(last.retryAfter))
	}
	if e.Wait != nil && *e.Wait != last.wait {
		c.fail(e.Spots["wait"], &last.why, "wait", e.Wait.String(), orNone(last.wait))
	}
	met := limitsOf(&last.why)
	if e.Limit != "" && last.verdict != descriptors.Allowed && e.Limit != last.limit {
		c.fail(e.Spots["limit"], &last.why, "limit", e.Limit, last.limit)
	} else if e.Limit != "" && last.verdict == descriptors.Allowed && !slices.Contains(met, e.Limit) {
		c.fail(e.Spots["limit"], &last.why, "limit", e.Limit, orNothing(strings.Join(met, ", ")))
	}
	if e.Remaining == nil {
		return
	}
	name, remaining, known := c.remaining(q, e.Limit)
	switch {
	case !known:
		c.fail(e.Spots["remaining"], &last.why, "remaining", fmt.Sprint(*e.Remaining), "no bucket")
	case remaining != *e.Remaining:
		c.fail(e.Spots["remaining"], &last.why, "remaining", fmt.Sprint(*e.Remaining), fmt.Sprintf("%d of %s", remaining, name))
	}
}

// remaining is what is left in the bucket of a limit that a request meets, of that
// with the least left where none is named.
func (c *run) remaining(q descriptors.Request, limit string) (name string, remaining int64, known bool) {
	e, err := c.replica.Explain(q)
	for i := range e.Descriptors {
		for _, l := range e.Descriptors[i].Limits {
			if l.Bucket == nil || l.Bucket.State != "" || limit != "" && l.Limit != limit {
				continue
			}
			if !known || l.Bucket.Remaining < remaining {
				name, remaining, known = l.Limit, l.Bucket.Remaining, true
			}
		}
	}
	return name, remaining, known && err == nil
}

func limitsOf(e *descriptors.Explanation) (names []string) {
	for i := range e.Descriptors {
		for _, l := range e.Descriptors[i].Limits {
			names = append(names, l.Limit)
		}
	}
	return names
}

func orNone(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	return d.String()
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
