package capacity_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
)

// What cannot be is refused by the field that says it, and changes nothing.
func TestC13_BadInputNamesItsFieldAndChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		r := start(t, s, rules)
		pass(time.Second)
		id := func(domain, name string) descriptors.PoolID { return descriptors.PoolID{Domain: domain, Name: name} }
		beat := func(pool descriptors.PoolID, instance string, n int64, ttl time.Duration) error {
			return r.Beat(t.Context(), pool, instance, n, ttl)
		}
		set := func(pool descriptors.PoolID, h capacity.ByHand) error {
			_, err := r.SetByHand(t.Context(), pool, h)
			return err
		}
		for name, c := range map[string]struct {
			err   error
			field string
		}{
			"unknown pool":            {beat(id("shop", "none"), "a", 1, 0), "pool"},
			"pool of another domain":  {beat(id("other", "units"), "a", 1, 0), "pool"},
			"pool of a fixed size":    {beat(id("shop", "slots"), "a", 1, 0), "pool"},
			"no name":                 {beat(units, "", 1, 0), "id"},
			"long name":               {beat(units, strings.Repeat("x", 201), 1, 0), "id"},
			"no text":                 {beat(units, "\xff", 1, 0), "id"},
			"negative units":          {beat(units, "a", -1, 0), "units"},
			"units beyond all bounds": {beat(units, "a", math.MaxInt64, 0), "units"},
			"short ttl":               {beat(units, "a", 1, time.Millisecond), "ttl"},
			"long ttl":                {beat(units, "a", 1, 48*time.Hour), "ttl"},
			"negative ttl":            {beat(units, "a", 1, -time.Second), "ttl"},
			"leaving an unknown pool": {r.Leave(t.Context(), id("shop", "none"), "a"), "pool"},

			"nothing by hand":             {set(units, capacity.ByHand{}), "total"},
			"negative total":              {set(units, capacity.ByHand{Total: -5}), "total"},
			"both forms":                  {set(units, capacity.ByHand{Total: 50, PerInstance: 10, Instances: 5}), "total"},
			"instances alone":             {set(units, capacity.ByHand{Instances: 5}), "per_instance"},
			"each alone":                  {set(units, capacity.ByHand{PerInstance: 5}), "per_instance"},
			"negative instances":          {set(units, capacity.ByHand{PerInstance: -5, Instances: -20}), "per_instance"},
			"more than max":               {set(units, capacity.ByHand{Total: 401}), "total"},
			"less than min":               {set(units, capacity.ByHand{Total: 19}), "total"},
			"a product beyond int64":      {set(units, capacity.ByHand{PerInstance: 1<<62 + 25, Instances: 4}), "per_instance"},
			"more than a number of slots": {set(id("shop", "slots"), capacity.ByHand{Total: 1 << 40}), "total"},
			"short time":                  {set(units, capacity.ByHand{Total: 50, TTL: time.Millisecond}), "ttl"},
			"a time of years":             {set(units, capacity.ByHand{Total: 50, TTL: math.MaxInt64}), "ttl"},
			"a long reason":               {set(units, capacity.ByHand{Total: 50, Reason: strings.Repeat("x", 2000)}), "reason"},
			"an unknown pool by hand":     {set(id("shop", "none"), capacity.ByHand{Total: 50}), "pool"},
			"freezing an unknown pool":    {r.Freeze(t.Context(), id("shop", "none"), true, "", ""), "pool"},
			"freezing without feedback":   {r.Freeze(t.Context(), id("shop", "slots"), true, "", ""), "pool"},
		} {
			if f := fault(t, c.err); f.Field != c.field {
				t.Errorf("%s: the fault is of %q: %v", name, f.Field, f)
			}
		}
		pass(5 * time.Second)
		if version, _, _ := s.live.Read(t.Context()); version != 0 || r.size(t) != 100 {
			t.Errorf("after all this the ledger has version %d, and the pool holds %d", version, r.size(t))
		}
	})
}

// Whoever may report instances cannot fill the store with them.
func TestC13_InstancesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, inMemory(t), rules)
		for i := range 10_000 {
			r.beat(t, fmt.Sprint("pod-", i), 1, time.Hour)
		}
		if err := r.Beat(t.Context(), units, "one more", 1, time.Hour); fault(t, err).Message == "" {
			t.Error("10,001 instances are counted")
		}
		r.beat(t, "pod-1", 3, time.Hour) // one of them goes on
		pass(2 * time.Second)
		if s := r.state(t); s.Instances != 10_000 || s.Units != 10_002 {
			t.Errorf("counted are %d with %d units", s.Instances, s.Units)
		}
	})
}
