package descriptors

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// TestFile is a file of cases that rules are to stand.
type TestFile struct {
	Name  string
	Rules []string  // files and directories
	Start time.Time // when the clock of each case begins
	Cases []TestCase
}

// TestCase is a story: requests and what becomes of them, on buckets of its own.
type TestCase struct {
	Name  string
	At    Spot
	Steps []TestStep
}

// TestStep moves the clock, and then asks or ends something, or neither.
type TestStep struct {
	At      Spot
	Until   *time.Duration // the clock is moved to this time since the start
	Advance time.Duration  // or by this
	Request *Request       // of no domain if the step names none
	Times   int            // that it is asked, one after the other
	Expect  Expectation
	End     *TestEnd
}

// Expectation is what is expected of a step's requests. What is nil or empty is not.
type Expectation struct {
	Verdict    Verdict
	Limit      string
	Remaining  *int64
	RetryAfter *time.Duration
	Wait       *time.Duration
	Admitted   *int64          // of all the requests of the step
	Spots      map[string]Spot // of those that are stated, by name
}

// TestEnd tells how requests ended that were admitted before.
type TestEnd struct {
	Status int64 // of their responses
	Count  int64 // of the oldest that have not ended; 0: all
}

// Spot is a place in a file.
type Spot struct{ place place }

// Fault is one at the place.
func (s Spot) Fault(message, remedy string) Fault { return s.place.fault(Error, message, remedy) }

// Before orders the spots of one file.
func (s Spot) Before(other Spot) bool { return s.place.before(other.place) }

var (
	testFields    = table{"a test file", map[string]bool{"rules": true, "domain": true, "start": true, "cases": true}}
	caseFields    = table{"a case", map[string]bool{"name": true, "steps": true}}
	stepFields    = table{"a step", map[string]bool{"at": true, "advance": true, "request": true, "times": true, "expect": true, "end": true}}
	requestFields = table{"a request", map[string]bool{"domain": true, "descriptors": true, "hits": true}}
	expectFields  = table{"expect", map[string]bool{"verdict": true, "limit": true, "remaining": true, "retry_after": true, "wait": true, "admitted": true}}
	endFields     = table{"end", map[string]bool{"status": true, "count": true}}
)

const (
	maxTimes    = 100_000
	maxTestTime = 10 * 365 * day // from the start of a case
)

// defaultStart is a Thursday, at midnight: windows begin with the case.
var defaultStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ReadTests reads a test file. With an error among the faults it is nil.
func ReadTests(name string) (*TestFile, Faults) {
	content, err := readBounded(name, nil)
	if err != nil {
		return nil, Faults{fileFault(name, err)}
	}
	return readTests(newText(name, content))
}

func readTests(t *text) (*TestFile, Faults) {
	root, fault := readYAML(t)
	if fault != nil {
		if fault.Message == "the file is empty" {
			fault.Remedy = "a test file needs rules and cases"
		}
		return nil, Faults{*fault}
	}
	r := testReader{walker: newWalker(t), file: &TestFile{Name: t.file, Start: defaultStart}}
	r.read(root)
	if faults := r.faults.tidy(); faults.Failed() {
		return nil, faults
	}
	return r.file, r.faults.tidy()
}

type testReader struct {
	*walker
	file   *TestFile
	domain string
}

func (r *testReader) read(root *yaml.Node) {
	fields, ok := r.fields(root, testFields)
	if !ok {
		return
	}
	if f, stated := fields["rules"]; stated {
		r.rules(f)
	} else {
		r.fail(root, "name the rule file, as in rules: rules.yaml", "the test file names no rules")
	}
	if f, stated := fields["domain"]; stated {
		r.domain, _ = r.str(f)
	}
	if f, stated := fields["start"]; stated {
		start, err := time.Parse(time.RFC3339, f.value.Value)
		if err != nil || f.value.Kind != yaml.ScalarNode {
			r.fail(f.value, "write it as in 2026-01-01T00:00:00Z", "start cannot be %s", kindOf(f.value))
		} else if start.Year() < 1971 || start.Year() > 2200 {
			r.fail(f.value, "write a year from 1971 to 2200", "start is too far away")
		}
		r.file.Start = start
	}
	f, stated := fields["cases"]
	if !stated {
		r.fail(root, "list them, as in cases: [{name: ..., steps: [...]}]", "the test file has no cases")
		return
	}
	items, _ := r.items(f)
	names := map[string]bool{}
	for _, n := range items {
		r.testCase(n, names)
	}
	if len(items) == 0 && f.value.Kind == yaml.SequenceNode {
		r.fail(f.value, "write one", "there are no cases")
	}
}

// rules reads the paths of rule files, which begin at the test file's directory.
func (r *testReader) rules(f field) {
	nodes := []*yaml.Node{f.value}
	if f.value.Kind == yaml.SequenceNode {
		nodes, _ = r.items(f)
	}
	for _, n := range nodes {
		path, ok := r.str(field{f.key, n})
		if ok && path == "" {
			r.fail(n, "name a rule file or a directory of them", "the name of the rules is empty")
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(r.file.Name), path)
		}
		r.file.Rules = append(r.file.Rules, path)
	}
}

func (r *testReader) testCase(n *yaml.Node, names map[string]bool) {
	fields, ok := r.walker.fields(n, caseFields)
	if !ok {
		return
	}
	c := TestCase{At: Spot{at(r.text, n)}}
	if f, stated := fields["name"]; !stated {
		r.fail(n, "write name: what it shows", "the case has no name")
	} else if c.Name = r.name(f); names[c.Name] && c.Name != "" {
		r.fail(f.value, "choose another", "another case has the name %s", quote(c.Name))
	}
	names[c.Name] = true
	f, stated := fields["steps"]
	items, _ := []*yaml.Node(nil), false
	if !stated {
		r.fail(n, "list them, as in steps: [{request: {...}, expect: {verdict: allow}}]", "the case has no steps")
	} else if items, _ = r.items(f); len(items) == 0 && f.value.Kind == yaml.SequenceNode {
		r.fail(f.value, "write one", "the case has no steps")
	}
	for _, item := range items {
		if s := r.step(item); s != nil {
			c.Steps = append(c.Steps, *s)
		}
	}
	r.file.Cases = append(r.file.Cases, c)
}

func (r *testReader) step(n *yaml.Node) *TestStep {
	fields, ok := r.walker.fields(n, stepFields)
	if !ok {
		return nil
	}
	s := &TestStep{At: Spot{at(r.text, n)}, Times: 1}
	moment, timed := fields["at"]
	if timed {
		s.At = Spot{at(r.text, moment.value)}
		until, _ := r.duration(moment, 0, maxTestTime, "a case takes ten years at most")
		s.Until = &until
	}
	if f, stated := fields["advance"]; stated && timed {
		r.fail(f.key, "keep one of the two", "the step has both at and advance")
	} else if stated {
		s.Advance, _ = r.duration(f, time.Microsecond, maxTestTime, "a case takes ten years at most")
	}
	asked, asks := fields["request"]
	ended, ends := fields["end"]
	switch {
	case asks && ends:
		r.fail(ended.key, "write two steps", "the step has both request and end")
	case asks:
		s.Request = r.request(asked)
	case ends:
		s.End = r.end(ended)
	case len(fields) == 0:
		r.fail(n, "write at, advance, request or end", "the step does nothing")
	}
	for _, name := range []string{"times", "expect"} {
		if f, stated := fields[name]; stated && !asks {
			r.fail(f.key, "write a request, or remove it", "the step has %s and no request", name)
		}
	}
	if f, stated := fields["times"]; stated {
		times, _ := r.integer(f, 1, maxTimes)
		s.Times = int(times)
	}
	if f, stated := fields["expect"]; stated {
		r.expect(f, s)
	}
	return s
}

func (r *testReader) request(f field) *Request {
	q := &Request{Domain: r.domain}
	fields, ok := r.walker.fields(f.value, requestFields)
	if !ok {
		return q
	}
	if d, stated := fields["domain"]; stated {
		q.Domain, _ = r.str(d)
	}
	if h, stated := fields["hits"]; stated {
		hits, _ := r.integer(h, 1, math.MaxUint32)
		q.Hits = uint64(hits)
	}
	list, stated := fields["descriptors"]
	if !stated {
		r.fail(f.value, "write them, as in descriptors: [{user: alice}]", "the request has no descriptors")
		return q
	}
	items, ok := r.items(list)
	if ok && len(items) == 0 {
		r.fail(list.value, "write one, as in [{user: alice}]", "the request has no descriptors")
	}
	for _, n := range items {
		if d := (Descriptor{Entries: r.sent(n)}); len(d.Entries) > 0 {
			q.Descriptors = append(q.Descriptors, d)
		}
	}
	return q
}

// sent reads the entries of a descriptor: a mapping, or a list of mappings of one
// entry each, where a key comes twice.
func (r *testReader) sent(n *yaml.Node) (entries []Entry) {
	const remedy = "write key: value pairs, as in {user: alice, api: read}"
	switch {
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if item = resolved(item); item.Kind != yaml.MappingNode || len(item.Content) != 2 {
				r.fail(item, "write each as in [{user: alice}, {user: bob}]", "an entry of a list has one key, with its value")
				continue
			}
			entries = append(entries, r.sent(item)...)
		}
	case n.Kind != yaml.MappingNode || n.Tag != "!!map":
		r.fail(n, remedy, "a descriptor cannot be %s", kindOf(n))
		return nil
	}
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		key, value := n.Content[i], resolved(n.Content[i+1])
		name, _ := r.str(field{key, resolved(key)})
		if slices.ContainsFunc(entries, func(e Entry) bool { return e.Key == name }) {
			r.fail(key, "write a list, as in [{user: alice}, {user: bob}]", "the key %s stands here twice", quote(name))
		}
		text := ""
		if value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
			text = value.Value // as it is written: entries have no other type
		} else {
			r.fail(value, remedy, "the value of %s cannot be %s", quote(name), kindOf(value))
		}
		entries = append(entries, Entry{name, text})
	}
	if len(n.Content) == 0 {
		r.fail(n, remedy, "the descriptor has no entries")
	}
	return entries
}

func (r *testReader) expect(f field, s *TestStep) {
	e := &s.Expect
	fields, ok := r.walker.fields(f.value, expectFields)
	if !ok {
		return
	}
	e.Spots = map[string]Spot{}
	for name, stated := range fields {
		e.Spots[name] = Spot{at(r.text, stated.value)}
	}
	if len(fields) == 0 {
		r.fail(f.value, "state one of "+strings.Join(expectFields.names(), ", "), "nothing is expected")
	}
	if v, stated := fields["verdict"]; stated {
		word, _ := r.word(v, []string{string(Allowed), string(Denied), string(Waits)})
		e.Verdict = Verdict(word)
	}
	if l, stated := fields["limit"]; stated {
		e.Limit = r.name(l)
	}
	number := func(name string, most int64) *int64 {
		if f, stated := fields[name]; stated {
			n, _ := r.integer(f, 0, most)
			return &n
		}
		return nil
	}
	e.Remaining, e.Admitted = number("remaining", math.MaxInt64), number("admitted", int64(s.Times))
	span := func(name string) *time.Duration {
		if f, stated := fields[name]; stated {
			d, _ := r.duration(f, 0, maxTestTime, "nobody waits for ten years")
			return &d
		}
		return nil
	}
	e.RetryAfter, e.Wait = span("retry_after"), span("wait")
	if e.RetryAfter != nil && *e.RetryAfter%time.Second != 0 {
		r.fail(fields["retry_after"].value, "write whole seconds, as in 2s", "the header Retry-After has whole seconds, rounded up")
	}
}

func (r *testReader) end(f field) *TestEnd {
	e := &TestEnd{Status: 200}
	fields, ok := r.walker.fields(f.value, endFields)
	if !ok {
		return e
	}
	if s, stated := fields["status"]; stated {
		e.Status, _ = r.integer(s, 0, 599)
	}
	if c, stated := fields["count"]; stated {
		e.Count, _ = r.integer(c, 1, maxTimes)
	}
	return e
}
