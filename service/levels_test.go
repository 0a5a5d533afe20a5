package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

const levelRules = `
domain: d
pools: [{name: units, rate: 10/s, burst: 100}]
descriptors:
  - key: user
    limits:
      - {name: fast, rate: 1/s, burst: 5}
      - {name: daily, rate: 100/day}
      - {name: sliding, algorithm: sliding_window, rate: 10/min, shadow_mode: true}
      - {name: at-once, algorithm: concurrency, slots: 3}
  - {key: api, value: a, draw: {pool: units, weight: 2, guarantee: 3/s, reserve: 30}}
  - {key: api, value: b, draw: {pool: units, weight: 3, guarantee: 3/s, reserve: 30}}
  - {key: service, breaker: {failures: 1, open_for: 30s}}
  - {key: free, rate_limit: {unlimited: true}}
`

func asksFor(texts ...string) descriptors.Request { return modelRequest(request(texts...)) }

// levels is what the request's limits say, by name.
func (w *world) levels(texts ...string) map[string]Level {
	w.t.Helper()
	levels, err := w.Levels(context.Background(), asksFor(texts...))
	if err != nil {
		w.t.Fatal(err)
	}
	byName := map[string]Level{}
	for _, l := range levels {
		byName[l.Limit] = l
	}
	return byName
}

// To look takes nothing, whatever the algorithm, and tells what there is.
func TestLevelsTellWhatThereIsAndTakeNothing(t *testing.T) {
	w := newWorld(t, levelRules)
	for range 2 {
		w.ask(request("user=u", "api=a", "service=s", "free=f"))
	}
	want := map[string]Level{
		"fast":    {Descriptor: 0, Algorithm: "token_bucket", Capacity: 5, Remaining: 3, Used: 2, Reset: 2 * time.Second},
		"daily":   {Descriptor: 0, Algorithm: "fixed_window", Capacity: 100, Remaining: 98, Used: 2, Reset: 16 * time.Hour},
		"sliding": {Descriptor: 0, Algorithm: "sliding_window", Capacity: 10, Remaining: 8, Used: 2, Reset: 61 * time.Second},
		"at-once": {Descriptor: 0, Algorithm: "concurrency", Capacity: 3, Remaining: 1, Used: 2},
		"api=a":   {Descriptor: 1, Algorithm: "token_bucket", Capacity: 100, Remaining: 96, Used: 4, Reset: 400 * time.Millisecond},
	}
	for range 3 {
		got := w.levels("user=u", "api=a", "service=s", "free=f")
		for name, level := range want {
			level.Domain, level.Limit, level.Key = "d", name, got[name].Key
			if got[name] != level || level.Key == "" {
				t.Errorf("%s: %+v, want %+v", name, got[name], level)
			}
		}
		if b := got["service:breaker"]; b.State != "closed" || b.Algorithm != "breaker" || len(got) != 6 {
			t.Errorf("of %d levels the breaker's is %+v", len(got), b)
		}
	}
	fresh := w.levels("user=somebody else")
	if f, d := fresh["fast"], fresh["daily"]; f.Used != 0 || f.Remaining != 5 || f.Reset != 0 || d.Remaining != 100 || d.Reset != 0 {
		t.Errorf("buckets never seen: %+v %+v", f, d)
	}
}

// What a request asks of its buckets does not matter to where they stand, and it
// stays as it is.
func TestLevelsAreThoseOfAllLimitsWhateverIsAsked(t *testing.T) {
	w := newWorld(t, levelRules)
	request := asksFor("user=u")
	request.Descriptors[0].Negative, request.Descriptors[0].HasHits = true, true
	if levels, err := w.Levels(context.Background(), request); len(levels) != 4 || err != nil {
		t.Errorf("%+v %v", levels, err)
	}
	if d := request.Descriptors[0]; !d.Negative || !d.HasHits {
		t.Error("the request was changed")
	}
}

// A level's form is the documented one: a duration is a text.
func TestALevelsForm(t *testing.T) {
	form, err := json.Marshal([]Level{{Domain: "d", Limit: "l", Key: "k", Algorithm: "token_bucket", Capacity: 5, Remaining: 3, Used: 2, Reset: 90 * time.Second}})
	want := `[{"descriptor":0,"domain":"d","limit":"l","key":"k","algorithm":"token_bucket","capacity":5,"remaining":3,"used":2,"reset":"1m30s"}]`
	if err != nil || string(form) != want {
		t.Errorf("%v: %s, want %s", err, form, want)
	}
}

// A bucket that is reset is one never seen; no other is touched.
func TestResetMakesOneBucketWhatItWas(t *testing.T) {
	all := []string{"user=u", "user=v", "api=a", "api=b", "service=s"}
	for _, c := range []struct {
		text, limit string
		reset       int
		fresh       []string // buckets that are as if never seen
	}{
		{"user=u", "daily", 1, []string{"user=u daily"}},
		{"user=v", "", 4, []string{"user=v fast", "user=v daily", "user=v sliding", "user=v at-once"}},
		{"user=u", "nobody", 0, nil},
		{"api=a", "", 1, []string{"api=a api=a", "api=b api=b"}}, // both draw from one pool
		{"service=s", "service:breaker", 1, []string{"service=s service:breaker"}},
		{"nobody=n", "", 0, nil},
		{"free=f", "", 0, nil},
	} {
		w := newWorld(t, levelRules)
		w.end(receiptOf(w.ask(request(all...))), 500)
		w.ask(request(all[:4]...))
		n, err := w.Reset(context.Background(), asksFor(c.text), c.limit)
		if err != nil || n != c.reset {
			t.Errorf("%s %s: %d reset, %v", c.text, c.limit, n, err)
		}
		for _, text := range all {
			for name, l := range w.levels(text) {
				fresh := l.Used == 0 && l.State != "open"
				if want := slices.Contains(c.fresh, text+" "+name); fresh != want {
					t.Errorf("%s of %s reset: %s of %s is %+v", c.limit, c.text, name, text, l)
				}
			}
		}
	}
}

// What a class of a pool is guaranteed is reset with the pool: it can have it again.
func TestResetOfADrawGivesItsClassItsGuarantee(t *testing.T) {
	w := newWorld(t, strings.ReplaceAll(levelRules, "reserve: 30", "reserve: 30, borrow: false"))
	for range 10 {
		if !w.admits("api=b") {
			t.Fatal("the class lacks its guarantee")
		}
	}
	if w.admits("api=b") {
		t.Fatal("the class has more than its guarantee")
	}
	if n, err := w.Reset(context.Background(), asksFor("api=b"), ""); n != 1 || err != nil || !w.admits("api=b") {
		t.Errorf("%d reset, %v, and the class does not have its guarantee again", n, err)
	}
}

// A level is the store's, or is not known: what a replica's own memory says while
// the store is away is no level.
func TestLevelsOfAStoreThatIsAwayAreAnError(t *testing.T) {
	w := newWorld(t, levelRules)
	shared := w.outage()
	shared.broken = true
	if levels, err := w.Levels(context.Background(), asksFor("user=u")); err == nil {
		t.Errorf("%+v", levels)
	}
	if n, err := w.Reset(context.Background(), asksFor("user=u"), ""); err == nil {
		t.Errorf("%d reset", n)
	}
}

// A request can meet more limits than one step judges.
func TestLevelsOfTooManyLimitsAreRefused(t *testing.T) {
	w := newWorld(t, levelRules)
	var texts []string
	for i := range 5 {
		texts = append(texts, fmt.Sprintf("user=u%d", i))
	}
	if _, err := w.Levels(context.Background(), asksFor(texts...)); !errors.Is(err, ErrTooManyLimits) {
		t.Errorf("levels: %v", err)
	}
	if _, err := w.Reset(context.Background(), asksFor(texts...), ""); !errors.Is(err, ErrTooManyLimits) {
		t.Errorf("reset: %v", err)
	}
	if n, err := w.Reset(context.Background(), asksFor(texts...), "nobody"); n != 0 || err != nil {
		t.Errorf("reset of one limit: %d %v", n, err)
	}
}
