package admin

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// accepted tells whether a decoder took a body: then encoding/json must read the
// same fields of it into want, and else the caller must be told what is wrong.
func accepted(t *testing.T, body []byte, err error, want any) bool {
	t.Helper()
	if err != nil {
		var p *problem
		if !errors.As(err, &p) || p.Status != 400 || p.Detail == "" || !json.Valid(body) && p.Field != "" {
			t.Fatalf("%q is refused with %#v", body, err)
		}
		if len(p.Detail) > 2000 || len(p.Field) > 2000 || len(p.Remedy) > 2000 {
			t.Fatalf("%q is refused with %d bytes", body, len(p.Detail)+len(p.Field)+len(p.Remedy))
		}
		return false
	}
	if err := json.Unmarshal(body, want); err != nil {
		t.Fatalf("%q is taken, though %v", body, err)
	}
	return true
}

func same(t *testing.T, body []byte, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q is read as another: %s", body, diff)
	}
}

// lasting is a time as a body states it.
func lasting(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if text != "" && (err != nil || d <= 0) {
		return -1
	}
	return d
}

// words is what may go with a change.
type words struct {
	TTL, Author, Reason string
	Version             *int64
}

func FuzzChange(f *testing.F) {
	for _, body := range []string{
		`{"rate": "10/s", "burst": 100, "ttl": "1h", "author": "ann", "reason": "peak", "version": 7}`,
		`{"for": {"user": "a", "model": ""}, "unlimited": true, "blocked": false, "slots": 5, "enabled": null}`,
		`{"period": "1m", "total": 0, "success": 1, "groups": {"vip": [0, 1000], "x": [1]}}`,
		`{"rate": "1/s", "rate": "2/s"}`, `{"groups": {"a": [1e9, 1]}} {}`, "[[[[", "{\"\xff\": 1}",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		change, said, err := readChange(body)
		var want struct {
			words
			Rate, Period                 string
			Burst, Slots, Total, Success *int64
			Enabled                      *bool
			Unlimited, Blocked           bool
			For                          map[string]string
			Groups                       map[string][2]int64
		}
		if !accepted(t, body, err, &want) {
			return
		}
		same(t, body, []any{change.Rate, change.Period, change.Burst, change.Slots, change.Total, change.Success, change.Enabled, change.Unlimited, change.Blocked},
			[]any{want.Rate, want.Period, want.Burst, want.Slots, want.Total, want.Success, want.Enabled, want.Unlimited, want.Blocked})
		same(t, body, []any{said.TTL, said.Author, said.Reason, said.Expect}, []any{lasting(want.TTL), want.Author, want.Reason, want.Version})
		if !maps.Equal(change.For, want.For) || !maps.Equal(change.Groups, want.Groups) {
			t.Fatalf("%q is read as %v and %v", body, change.For, change.Groups)
		}
		for group, pair := range change.Groups {
			if pair[0] < 0 || pair[1] < 1 {
				t.Fatalf("%q admits %v to %s", body, pair, group)
			}
		}
	})
}

func FuzzSwitch(f *testing.F) {
	f.Add([]byte(`{"enabled": true, "ttl": "1h", "author": "ann", "version": 0}`))
	f.Add([]byte(`{"enabled": "true"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		change, said, err := readSwitch(body)
		var want struct {
			words
			Enabled *bool
		}
		if accepted(t, body, err, &want) {
			same(t, body, []any{change.Enabled, said.TTL, said.Expect}, []any{want.Enabled, lasting(want.TTL), want.Version})
		}
	})
}

func FuzzInstance(f *testing.F) {
	f.Add([]byte(`{"units": 20, "ttl": "30s"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		units, ttl, err := readInstance(body)
		var want struct {
			Units int64
			TTL   string
		}
		if accepted(t, body, err, &want) {
			same(t, body, []any{units, ttl}, []any{want.Units, lasting(want.TTL)})
		}
	})
}

func FuzzCapacity(f *testing.F) {
	f.Add([]byte(`{"total": 100, "ttl": "30s", "author": "ann"}`))
	f.Add([]byte(`{"per_instance": 20, "instances": 3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		hand, err := readCapacity(body)
		var want struct {
			words
			Total       int64
			PerInstance int64 `json:"per_instance"`
			Instances   int64
		}
		if accepted(t, body, err, &want) {
			same(t, body, []any{hand.Total, hand.PerInstance, hand.Instances, hand.TTL, hand.Author, hand.Reason},
				[]any{want.Total, want.PerInstance, want.Instances, lasting(want.TTL), want.Author, want.Reason})
		}
	})
}

func FuzzFeedback(f *testing.F) {
	f.Add([]byte(`{"freeze": true, "author": "ann", "reason": "a rollout"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		freeze, author, reason, err := readFeedback(body)
		var want struct {
			Freeze         bool
			Author, Reason string
		}
		if accepted(t, body, err, &want) {
			same(t, body, []any{freeze, author, reason}, []any{want.Freeze, want.Author, want.Reason})
		}
	})
}

func FuzzBucket(f *testing.F) {
	for _, body := range []string{
		`{"rate": "1/4s", "burst": 4, "initial": "empty", "max_wait": "1h", "max_waiters": 10}`,
		`{"max_tokens": 4, "refill_period_ms": 4000, "initial": 2, "version": 7}`, `{"max_tokens": 4, "rate": "1/s"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, version, drip, err := readBucket("b", body)
		var want struct {
			Rate           string
			Burst          int64
			MaxTokens      int64           `json:"max_tokens"`
			RefillPeriodMS int64           `json:"refill_period_ms"`
			Initial        json.RawMessage // a text or a number
			MaxWait        string          `json:"max_wait"`
			MaxWaiters     int             `json:"max_waiters"`
			Version        *int64
		}
		if !accepted(t, body, err, &want) {
			return
		}
		if drip {
			same(t, body, d.Burst, want.MaxTokens)
		} else {
			same(t, body, []any{d.Rate, d.Burst, d.MaxWaiters, time.Duration(d.MaxWait)}, []any{want.Rate, want.Burst, want.MaxWaiters, lasting(want.MaxWait)})
		}
		same(t, body, version, want.Version)
		if d.ID != "b" || d.Rate == "" {
			t.Fatalf("%q is read as %+v", body, d)
		}
	})
}

func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"bucket": "partner", "tokens": 2}`))
	f.Add([]byte(`{"tokens": 1e3}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		id, tokens, err := readTake(body)
		want := struct {
			Bucket string
			Tokens int64
		}{Tokens: 1}
		if accepted(t, body, err, &want) {
			same(t, body, []any{id, tokens}, []any{want.Bucket, want.Tokens})
		}
		if err == nil && !ofBucket(body) {
			t.Fatalf("%q would be judged as a request to rules", body)
		}
	})
}
