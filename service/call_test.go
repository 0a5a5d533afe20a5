package service

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// A call serves one request after another. What one has said must not be heard in
// the next.
func TestNothingOfARequestIsLeftInTheNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := call{bounds: testBounds}
		for range 4 {
			want := drawRequest(t)
			wire, err := proto.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.read(wire); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(modelRequest(want), c.request, cmpopts.EquateEmpty()); diff != "" {
				t.Fatal(diff)
			}
			if rapid.Bool().Draw(t, "released") {
				c.release()
			}
		}
	})
}

func TestNothingOfAVerdictIsLeftInTheNext(t *testing.T) {
	rules := loadRules(t, weighted)
	rapid.Check(t, func(rt *rapid.T) {
		one, each, t := worldOf(t, rules), worldOf(t, rules), rt
		c := call{bounds: testBounds}
		for range rapid.IntRange(2, 8).Draw(t, "requests") {
			texts := rapid.SliceOfN(rapid.SampledFrom([]string{"user=u", "user=v", "free=x", "nobody=x"}), 1, 4).Draw(t, "descriptors")
			wire, fresh := wireOf(t, request(texts...)), call{bounds: testBounds}
			for w, c := range map[*world]*call{one: &c, each: &fresh} {
				if err := c.read(wire); err != nil {
					t.Fatal(err)
				}
				if err := w.Service.ask(t.Context(), c, unbounded); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(c.verdict.appendTo(nil, HeadersDraft10), fresh.verdict.appendTo(nil, HeadersDraft10)) {
				t.Fatalf("%q is answered otherwise by a call that was used before", texts)
			}
		}
	})
}

// A pooled call that holds on to a request's text, or to rules that were replaced
// since, keeps them from being freed.
func TestACallThatEndedHoldsNothing(t *testing.T) {
	w := newWorld(t, weighted)
	c := call{bounds: testBounds}
	if err := c.read(wireOf(t, request("user=u", "pool=backend,api=a"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Service.ask(t.Context(), &c, unbounded); err != nil {
		t.Fatal(err)
	}
	c.finish()
	for _, d := range c.request.Descriptors[:cap(c.request.Descriptors)] {
		for _, e := range d.Entries[:cap(d.Entries)] {
			if e.Key != "" || e.Value != "" {
				t.Errorf("the entry %v is still held", e)
			}
		}
	}
	for _, m := range c.verdict.met[:cap(c.verdict.met)] {
		if m.Match != nil {
			t.Errorf("the limit %s is still held", m.Limit.Name)
		}
	}
	for _, s := range c.verdict.statuses[:cap(c.verdict.statuses)] {
		if s.met != nil {
			t.Errorf("a status still shows the limit %s", s.Limit.Name)
		}
	}
	if c.request.Domain != "" || c.verdict.decisive != nil || c.verdict.fallback != nil {
		t.Error("the domain, or a limit, is still held")
	}
}
