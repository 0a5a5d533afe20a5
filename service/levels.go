package service

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// Level is where one bucket stands.
type Level struct {
	Descriptor int    `json:"descriptor"` // index in the request
	Domain     string `json:"domain"`
	Limit      string `json:"limit"`
	Key        string `json:"key"`
	Algorithm  string `json:"algorithm"` // as rule files name it

	// Capacity and what remains and is used of it are in whole tokens or slots, Used
	// rounded up; it is more than Capacity where the bucket owes. A breaker has none.
	Capacity  int64 `json:"capacity"`
	Remaining int64 `json:"remaining"`
	Used      int64 `json:"used"`
	// Reset is how long until the bucket is full again if nothing more is asked of
	// it, 0 where it is, or nobody knows. As JSON it is a text, as in 1m30s.
	Reset time.Duration `json:"reset"`

	State string `json:"state,omitempty"` // of a breaker: closed, open or half_open
}

// MarshalJSON implements [json.Marshaler].
func (l Level) MarshalJSON() ([]byte, error) {
	type level Level
	return json.Marshal(struct {
		level
		Reset string `json:"reset"`
	}{level(l), l.Reset.String()})
}

// ErrTooManyLimits is the error of a request that meets more limits than can be
// looked at in one step.
var ErrTooManyLimits = fmt.Errorf("the request meets more than %d limits: send fewer descriptors", buckets.MaxCharges)

// Levels looks at the buckets that a request meets, in the order of its
// descriptors. It takes nothing and never waits. An error means that the store did
// not answer, whatever the rules say of that, or is [ErrTooManyLimits].
func (s *Service) Levels(ctx context.Context, request descriptors.Request) ([]Level, error) {
	matches, err := s.looks(&request, "")
	if err != nil || len(matches) == 0 {
		return nil, err
	}
	charges := make([]buckets.Charge, len(matches))
	for i := range matches {
		charges[i] = matches[i].Charge
		charges[i].Mode, charges[i].Cost, charges[i].OnStoreError = buckets.Look, 1, buckets.Fail
	}
	outcomes, _, err := s.options.Room.Take(ctx, charges, waiting.Wait{})
	if err != nil {
		return nil, fmt.Errorf("look at the buckets: %w", err)
	}
	levels := make([]Level, len(matches))
	for i, m := range matches {
		levels[i] = levelOf(&m, &outcomes[i])
	}
	return levels, nil
}

// Reset makes the buckets that a request meets what they are when nobody has asked
// them yet, and tells how many there were: those of one limit, or of all if limit
// is empty. Of a pool it is the whole pool, and the guarantee of the class that
// the descriptor draws from. An error means that they may be reset or not, or is
// [ErrTooManyLimits].
func (s *Service) Reset(ctx context.Context, request descriptors.Request, limit string) (int, error) {
	matches, err := s.looks(&request, limit)
	if err != nil || len(matches) == 0 {
		return 0, err
	}
	var keys []string
	for _, m := range matches {
		keys = append(keys, m.Charge.Key)
		if m.Charge.Class != nil {
			keys = append(keys, m.Charge.ClassKey)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if err := s.options.Room.Forget(ctx, keys); err != nil {
		return 0, fmt.Errorf("reset the buckets: %w", err)
	}
	return len(matches), nil
}

// looks are the limits with a bucket that a request meets, of one name or all.
func (s *Service) looks(request *descriptors.Request, limit string) ([]descriptors.Match, error) {
	rules := s.options.Rules()
	if rules == nil {
		return nil, ErrNoRules
	}
	request.Descriptors = slices.Clone(request.Descriptors)
	for i := range request.Descriptors { // what is given back, or looked at, does not meet all limits
		d := &request.Descriptors[i]
		d.Negative, d.HasHits = false, false
	}
	matches := slices.DeleteFunc(rules.Resolve(request).Matches, func(m descriptors.Match) bool {
		return m.Limit.Unlimited || limit != "" && m.Limit.Name != limit
	})
	if len(matches) > buckets.MaxCharges {
		return nil, ErrTooManyLimits
	}
	return matches, nil
}

func levelOf(m *descriptors.Match, o *buckets.Outcome) Level {
	b := m.Charge.Bucket
	l := Level{Descriptor: m.Descriptor, Domain: m.Limit.Domain, Limit: m.Limit.Name, Key: m.Charge.Key, Algorithm: algorithm(b)}
	if _, breaker := b.(buckets.Breaker); breaker {
		l.State = circuit(o)
		return l
	}
	l.Capacity, l.Remaining, l.Reset = b.Size(), b.Remaining(o.Used), o.Reset
	l.Used = (o.Used + b.Unit() - 1) / b.Unit()
	if o.Used == 0 {
		l.Reset = 0
	}
	return l
}

// algorithm is what rule files call a kind of bucket.
func algorithm(b buckets.Bucket) string {
	switch b.(type) {
	case buckets.FixedWindow:
		return "fixed_window"
	case buckets.SlidingWindow:
		return "sliding_window"
	case buckets.Slots:
		return "concurrency"
	case buckets.Breaker:
		return "breaker"
	}
	return "token_bucket"
}

// circuit is the state of a breaker by what its bucket said: see [buckets.Breaker].
func circuit(o *buckets.Outcome) string {
	switch {
	case o.Used == 0:
		return "closed"
	case o.Reset > 0:
		return "open"
	}
	return "half_open"
}
