package descriptors

import (
	"strings"
	"testing"

	"github.com/weir-rls/weir/buckets"
)

func TestM07_TwoChangesOfTheSameAreRefused(t *testing.T) {
	s := sourceOf(t, changedRules)
	a := change(t, `{"limit":"fast","rate":"20/s","for":{"user":"a"}}`)
	b := change(t, `{"limit":"fast","rate":"30/s","for":{"user":"b"}}`)
	if faults := s.SetChanges([]Change{a, b, a}); len(faults) != 1 || faults[0].Change != 2 {
		t.Errorf("%+v", faults)
	}
	for _, text := range []string{`{"limit":"fast","rate":"20/s"}`, `{"limit":"units","rate":"20/s"}`, `{"limit":"none","rate":"20/s"}`} {
		twice := []Change{change(t, text), a, change(t, strings.Replace(text, "20", "30", 1))}
		if faults := s.SetChanges(twice); faults[len(faults)-1].Change != 2 || !strings.Contains(faults[len(faults)-1].Message, "for the same") {
			t.Errorf("%s twice: %+v", text, faults)
		}
	}
	x := change(t, `{"limit":"net","rate":"20/s","for":{"ip":"10.0.0.1"}}`)
	y := change(t, `{"limit":"net","rate":"30/s","for":{"ip":"::ffff:10.0.0.1"}}`)
	if faults := s.SetChanges([]Change{x, y}); len(faults) != 1 || faults[0].Change != 1 || faults[0].Field != "for" {
		t.Errorf("one bucket by two names: %+v", faults)
	}
}

// What is set for one bucket stands on what is set for all, in any order.
func TestC07_OneBucketStandsOnWhatIsSetForAll(t *testing.T) {
	all, one := `{"limit":"fast","rate":"20/s"}`, `{"limit":"fast","burst":70,"for":{"user":"a"}}`
	for _, list := range [][]string{{all, one}, {one, all}} {
		s := sourceOf(t, changedRules)
		set(t, s, list...)
		l := s.Rules().Resolve(request("user=a")).Matches[0].Limit
		if got := met(s.Rules(), "user=a"); got != "70 1000 5" || l.Requests != 20 {
			t.Errorf("%q: %s, %d requests", list, got, l.Requests)
		}
	}
	s := sourceOf(t, changedRules)
	set(t, s, `{"limit":"fast","enabled":false}`, one)
	if got := met(s.Rules(), "user=a"); got != "1000 5" {
		t.Errorf("switched off for all: %s", got)
	}
}

// A receipt that was given out before a bucket was set apart gives back to it.
func TestC07_AReceiptFindsTheBucketOfItsKey(t *testing.T) {
	s := sourceOf(t, changedRules)
	before := charge(t, s.Rules(), "user=a")
	for _, test := range []struct {
		change string
		size   int64
	}{
		{`{"limit":"fast","rate":"20/s","for":{"user":"a"}}`, 20},
		{`{"limit":"fast","unlimited":true,"for":{"user":"a"}}`, 10},
		{`{"limit":"fast","enabled":false,"for":{"user":"a"}}`, 10},
		{`{"limit":"fast","blocked":true,"for":{"user":"a"}}`, 0},
	} {
		set(t, s, test.change)
		l, known := s.Rules().LimitByID(before.Limit)
		if !known {
			t.Fatalf("%s: the limit is unknown", test.change)
		}
		if c := l.ChargeOn(before.Key, ""); c.Bucket == nil || c.Bucket.Size() != test.size || c.Limit != before.Limit {
			t.Errorf("%s: %+v", test.change, c)
		}
		if c := l.ChargeOn(charge(t, s.Rules(), "user=b").Key, ""); c.Bucket.Size() != 10 {
			t.Errorf("%s: another bucket has %d", test.change, c.Bucket.Size())
		}
	}
}

// A value for one of two entries of one key would be a guess.
func TestM07_ABucketOfTwoEntriesOfOneKeyCannotBeNamed(t *testing.T) {
	s := sourceOf(t, "domain: llm\ndescriptors: [{key: user, descriptors: [{key: user, limits: [{name: x, rate: 1/s}]}]}]\n")
	if faults := s.SetChanges([]Change{change(t, `{"limit":"x","blocked":true,"for":{"user":"a"}}`)}); len(faults) != 1 || faults[0].Field != "for" {
		t.Errorf("%+v", faults)
	}
}

// What a change does not set of a bucket is as the file states it, also what the
// limit does to others.
func TestC07_ABucketSetApartReplacesWhatItsLimitReplaces(t *testing.T) {
	s := sourceOf(t, `
domain: llm
descriptors:
  - {key: user, limits: [{name: own, rate: 5/s, replaces: [{name: general}]}]}
  - {key: all, limits: [{name: general, rate: 10/s}]}
`)
	set(t, s, `{"limit":"own","rate":"6/s","for":{"user":"a"}}`)
	if m := s.Rules().Resolve(request("user=a", "all=x")).Matches; len(m) != 1 || m[0].Charge.Bucket.Size() != 6 {
		t.Errorf("%+v", m)
	}
	set(t, s, `{"limit":"general","rate":"6/s","for":{"all":"x"}}`)
	if m := s.Rules().Resolve(request("user=a", "all=x")).Matches; len(m) != 1 || m[0].Limit.Name != "own" {
		t.Errorf("%+v", m)
	}
}

func TestG25_ABlockedBucketRefusesAlways(t *testing.T) {
	s := sourceOf(t, `
domain: llm
defaults: {on_store_error: allow}
descriptors: [{key: ip, value_cidr: 0.0.0.0/0, limits: [{name: all, rate: 10/s, weight: 0, shadow_mode: true, max_wait: 5s, enforce_percent: 0}]}]
`)
	set(t, s, `{"limit":"all","blocked":true,"for":{"ip":"10.0.0.1"}}`)
	m := s.Rules().Resolve(request("ip=10.0.0.1")).Matches[0]
	if m.Charge.Role != buckets.Enforce || m.Charge.Cost != 1 || m.Charge.Bucket.Size() != 0 || m.Limit.MaxWait != 0 || m.Charge.OnStoreError != buckets.Deny {
		t.Errorf("%+v of %+v", m.Charge, m.Limit)
	}
}
