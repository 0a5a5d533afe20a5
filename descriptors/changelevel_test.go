package descriptors

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
)

// clocked is a store, of which that of newClocked has a time that stands still
// unless it is moved.
type clocked struct {
	buckets.Store
	now   time.Time
	calls int
}

func newClocked() *clocked {
	c := &clocked{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	c.Store = memory.New(memory.Options{Now: func() time.Time { return c.now }})
	return c
}

// take charges what a descriptor meets, and tells whether all admit and the tokens
// used of the first bucket.
func (c *clocked) take(t failing, r *Rules, descriptor string, hits uint64) (admitted bool, used int64) {
	t.Helper()
	req := request(descriptor)
	req.Hits = hits
	if hits == 0 {
		req.Descriptors[0].HasHits = true // a look
	}
	var charges []buckets.Charge
	c.calls++
	for i, m := range r.Resolve(req).Matches {
		m.Charge.Lease = fmt.Sprint(c.calls, i)
		charges = append(charges, m.Charge)
	}
	outcomes, err := c.Take(context.Background(), charges)
	if err != nil {
		t.Fatalf("%v", err)
	}
	admitted = true
	for _, o := range outcomes {
		admitted = admitted && o.Admitted
	}
	return admitted, outcomes[0].Used / charges[0].Bucket.Unit()
}

// The kinds of limits, and what makes each larger and smaller.
var carried = []struct{ limit, larger, smaller string }{
	{"{name: x, rate: 10/s}", `"rate":"20/s"`, `"rate":"4/s"`},
	{"{name: x, rate: 10/s, burst: 30}", `"burst":60`, `"burst":4`},
	{"{name: x, rate: 10/min, initial: 8}", `"rate":"20/min"`, `"rate":"9/min"`},
	{"{name: x, algorithm: fixed_window, rate: 10/min}", `"rate":"20/min"`, `"rate":"4/min"`},
	{"{name: x, algorithm: fixed_window, rate: 10/day}", `"rate":"20/day"`, `"rate":"4/day"`},
	{"{name: x, algorithm: sliding_window, rate: 10/min}", `"rate":"20/min"`, `"rate":"4/min"`},
	{"{name: x, algorithm: concurrency, slots: 10}", `"slots":20`, `"slots":4`},
}

func each(t *testing.T, run func(t *testing.T, rules, larger, smaller string)) {
	for _, kind := range carried {
		rules := "domain: llm\ndescriptors: [{key: user, limits: [" + kind.limit + "]}]\n"
		for _, values := range []string{"", `,"for":{"user":"a"}`} {
			larger, smaller := `{"limit":"x",`+kind.larger+values+`}`, `{"limit":"x",`+kind.smaller+values+`}`
			t.Run(kind.limit+values, func(t *testing.T) { run(t, rules, larger, smaller) })
		}
	}
	t.Run("pool", func(t *testing.T) {
		run(t, "domain: llm\npools: [{name: x, rate: 10/s}]\ndescriptors: [{key: user, draw: {pool: x}}, {key: other, draw: {pool: x}}]\n",
			`{"limit":"x","rate":"20/s"}`, `{"limit":"x","rate":"7/s"}`)
	})
}

// Three tokens used of 10/s are three used of 20/s, of any kind of limit, for all
// or for one bucket.
func TestC07_TokensUsedStayUsed(t *testing.T) {
	each(t, func(t *testing.T, rules, larger, smaller string) {
		s, store := sourceOf(t, rules), newClocked()
		_, before := store.take(t, s.Rules(), "user=a", 0)
		store.take(t, s.Rules(), "user=a", 3)
		for _, step := range []string{"", larger, "", smaller, ""} {
			if step == "" {
				set(t, s)
			} else {
				set(t, s, step)
			}
			if _, used := store.take(t, s.Rules(), "user=a", 0); used != before+3 {
				t.Errorf("after %q %d are used, want %d", step, used, before+3)
			}
		}
	})
}

// A change never hands out a fresh burst: in one instant no more passes than the
// largest capacity, also if a bucket that was used up was lowered meanwhile and
// raised again.
func TestC07_NoSequenceOfChangesHandsOutAFreshBurst(t *testing.T) {
	each(t, func(t *testing.T, rules, larger, smaller string) {
		s, store := sourceOf(t, rules), newClocked()
		spend := func() (tokens int64) {
			for {
				if ok, _ := store.take(t, s.Rules(), "user=a", uint64(1)); !ok || tokens > 1000 {
					return tokens
				}
				tokens++
			}
		}
		set(t, s, larger)
		most := charge(t, s.Rules(), "user=a").Bucket.Size()
		all := spend()
		for _, step := range []string{smaller, larger, smaller, larger} {
			set(t, s, step)
			if all += spend(); all > most {
				t.Errorf("%s: %d passed of at most %d", step, all, most)
			}
		}
	})
}

// So also where a pool is lowered by a change and has another size than it sets.
func TestC07_AChangedPoolOfAnotherSizeForgetsNothing(t *testing.T) {
	s, store := sourceOf(t, "domain: llm\npools: [{name: x, rate: 10/s, burst: 100}]\ndescriptors: [{key: user, draw: {pool: x}}]\n"), newClocked()
	store.take(t, s.Rules(), "user=a", 100)
	set(t, s, `{"limit":"x","burst":10}`)
	s.Resize(map[PoolID]int64{{"llm", "x"}: 20})
	store.take(t, s.Rules(), "user=a", 1)
	s.Resize(nil)
	set(t, s)
	if _, used := store.take(t, s.Rules(), "user=a", 0); used != 100 {
		t.Errorf("%d of 100 are used", used)
	}
}

// In no stretch of time does a bucket that is changed again and again admit more
// than its largest burst and its fastest rate allow: changes add nothing of their
// own.
func TestC07_ChangesAddNothingOfTheirOwn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, store := sourceOf(t, "domain: llm\ndescriptors: [{key: user, limits: [{name: x, rate: 20/s, burst: 40}]}]\n"), newClocked()
		start, admitted := store.now, int64(0)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			if rapid.Bool().Draw(rt, "change") {
				burst := rapid.Int64Range(1, 40).Draw(rt, "burst")
				c := Change{Domain: "llm", Limit: "x", Rate: fmt.Sprintf("%d/s", rapid.Int64Range(1, 20).Draw(rt, "rate")), Burst: &burst}
				if rapid.Bool().Draw(rt, "for one") {
					c.For = map[string]string{"user": "a"}
				}
				s.SetChanges([]Change{c})
			}
			store.now = store.now.Add(time.Duration(rapid.IntRange(0, 500).Draw(rt, "ms")) * time.Millisecond)
			for range rapid.IntRange(0, 50).Draw(rt, "requests") {
				if ok, _ := store.take(rt, s.Rules(), "user=a", 1); ok {
					admitted++
				}
			}
		}
		if most := 40 + 20*store.now.Sub(start).Milliseconds()/1000; admitted > most {
			rt.Fatalf("%d admitted in %v, more than %d", admitted, store.now.Sub(start), most)
		}
	})
}

// What is blocked admits nothing, and after it as much as if there had been no
// block; what is unlimited takes nothing.
func TestG25_ABlockTakesNothingAndForgetsNothing(t *testing.T) {
	for _, kind := range carried {
		t.Run(kind.limit, func(t *testing.T) {
			s, store := sourceOf(t, "domain: llm\ndescriptors: [{key: user, limits: ["+kind.limit+"]}]\n"), newClocked()
			_, before := store.take(t, s.Rules(), "user=a", 0)
			store.take(t, s.Rules(), "user=a", 3)
			set(t, s, `{"limit":"x","blocked":true,"for":{"user":"a"}}`)
			if ok, _ := store.take(t, s.Rules(), "user=a", 1); ok {
				t.Error("admitted")
			}
			if ok, _ := store.take(t, s.Rules(), "user=b", 1); !ok {
				t.Error("another is refused")
			}
			set(t, s)
			if _, used := store.take(t, s.Rules(), "user=a", 0); used != before+3 {
				t.Errorf("after the block %d are used", used)
			}
		})
	}
}
