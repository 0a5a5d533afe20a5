package descriptors

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// A change outlives the files it was made for: it is told, left out, and back as
// soon as they fit again. Rules that do not change keep theirs.
func TestC07_AReloadKeepsChangesAndTellsThoseThatNoLongerFit(t *testing.T) {
	dir := t.TempDir()
	file := func(domain, limit string) string {
		return "domain: " + domain + "\ndescriptors: [{key: user, limits: [" + limit + "]}]\n"
	}
	put(t, dir, map[string]string{"a.yaml": file("llm", "{name: x, rate: 10/s}"), "b.yaml": file("other", "{name: x, rate: 10/s}")})
	s := NewSource(dir, Options{})
	early := s.SetChanges([]Change{change(t, `{"limit":"x","burst":50}`), change(t, `{"domain":"other","limit":"x","burst":60}`)})
	if len(early) != 2 || !early[0].Unknown {
		t.Fatalf("before there are rules: %+v", early)
	}
	step := func(what, limit, want string, unfit int) {
		t.Helper()
		if limit != "" {
			put(t, dir, map[string]string{"a.yaml": file("llm", limit)})
		}
		r := s.Reload()
		if got := met(s.Rules(), "user=a"); got != want || len(r.Changes) != unfit || unfit > 0 && (r.Changes[0].Domain != "llm" || r.Changes[0].Limit != "x") {
			t.Errorf("%s: %s, want %s; %+v", what, got, want, r.Changes)
		}
		if o := s.Rules().Resolve(&Request{Domain: "other", Descriptors: []Descriptor{{Entries: entries("user=a")}}}); o.Matches[0].Charge.Bucket.Size() != 60 {
			t.Errorf("%s: the other domain has %d", what, o.Matches[0].Charge.Bucket.Size())
		}
	}
	step("first", "", "50", 0)
	step("another rate", "{name: x, rate: 20/s}", "50", 0)
	step("a window", "{name: x, algorithm: sliding_window, rate: 20/s}", "20", 1)
	step("broken", "{name: x, nonsense: 1}", "20", 1)
	step("renamed", "{name: y, rate: 20/s}", "20", 1)
	step("mended", "{name: x, rate: 30/s}", "50", 0)
	remove(t, filepath.Join(dir, "a.yaml"))
	if r := s.Reload(); len(r.Changes) != 1 || !r.Changes[0].Unknown {
		t.Errorf("without the domain: %+v", r.Changes)
	}
}

// A list that says the same of a domain leaves it as it is: nothing is compiled
// again, and no request sees another rule.
func TestM20_OnlyDomainsWithOtherChangesAreCompiledAgain(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": limited("a", "k", 1), "b.yaml": limited("b", "k", 1)})
	s := NewSource(dir, Options{})
	s.Reload()
	name := s.Rules().Limits()[0].Name
	s.SetChanges([]Change{{Domain: "a", Limit: name, Rate: "5/s"}, {Domain: "b", Limit: name, Rate: "5/s"}})
	before := s.Rules()
	s.SetChanges([]Change{{Domain: "b", Limit: name, Rate: "6/s"}, {Domain: "a", Limit: name, Rate: "5/s"}})
	after := s.Rules()
	if before.domains["a"] != after.domains["a"] || before.domains["b"] == after.domains["b"] {
		t.Error("not only the other domain was compiled again")
	}
	s.SetChanges([]Change{{Domain: "b", Limit: name, Rate: "6/s"}, {Domain: "a", Limit: name, Rate: "5/s"}})
	if s.Rules() != after {
		t.Error("the same list made other rules")
	}
}

// Whoever asks while changes come sees the rules before or after, never between.
func TestM20_RequestsDuringChangesSeeOneListOrTheOther(t *testing.T) {
	s := sourceOf(t, changedRules)
	lists := [][]Change{
		{change(t, `{"limit":"fast","rate":"20/s"}`), change(t, `{"limit":"daily","rate":"20/day"}`), change(t, `{"limit":"units","burst":20}`)},
		{change(t, `{"limit":"fast","rate":"30/s","for":{"user":"a"}}`), change(t, `{"limit":"daily","rate":"30/day","for":{"user":"a"}}`), change(t, `{"limit":"units","burst":30}`)},
	}
	s.SetChanges(lists[0])
	var asking sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				m := s.Rules().Resolve(request("user=a", "api=a")).Matches
				if a, b, c := m[0].Charge.Bucket.Size(), m[1].Charge.Bucket.Size(), m[3].Charge.Bucket.Size(); a != b || b != c {
					t.Errorf("%d, %d and %d are of two lists", a, b, c)
					return
				}
				if l, known := s.Rules().LimitByID(m[0].Limit.ID()); !known || l.ChargeOn(m[0].Charge.Key, "").Bucket == nil {
					t.Error("the limit cannot be found")
					return
				}
			}
		})
	}
	for i := range 200 {
		s.SetChanges(lists[i%2])
		s.TryChanges(lists[(i+1)%2])
		s.Resize(map[PoolID]int64{{"llm", "workers"}: int64(20 + i%2)})
	}
	close(done)
	asking.Wait()
}

// thousands are changes for as many buckets of one limit.
func thousands(count int) (changes []Change) {
	for i := range count {
		changes = append(changes, Change{Domain: "llm", Limit: "fast", Rate: "20/s", For: map[string]string{"user": fmt.Sprint("u", i)}})
	}
	return changes
}

// However many buckets are set apart, a request pays for one look, and allocates
// nothing for it.
func TestM20_ChangesCostARequestNothing(t *testing.T) {
	s := sourceOf(t, changedRules)
	req := request("user=a", "user=u7")
	cost := func() float64 { return testing.AllocsPerRun(100, func() { s.Rules().Resolve(req) }) }
	without := cost()
	s.SetChanges(thousands(5000))
	if with := cost(); with != without {
		t.Errorf("%v allocations with changes, %v without", with, without)
	}
}

func BenchmarkResolve_Changes(b *testing.B) {
	for _, count := range []int{0, 10_000} {
		d := compileChanged("llm", []*file{parse(newText("test.yaml", []byte(changedRules)))}, Options{}, thousands(count))
		r, req := newRules(map[string]*domain{"llm": d.domain}), request("user=a")
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			for b.Loop() {
				r.Resolve(req)
			}
		})
	}
}

// All replicas have to make 10,000 changes, the most there are, within a second.
func BenchmarkSetChanges_10000(b *testing.B) {
	files, changes := []*file{parse(newText("test.yaml", []byte(changedRules)))}, thousands(10_000)
	for b.Loop() {
		if c := compileChanged("llm", files, Options{}, changes); len(c.faults) > 0 {
			b.Fatal(c.faults)
		}
	}
}
