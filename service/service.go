// Package service answers Envoy's rate limit protocol. It translates: a request
// into the terms of the rules, their verdict into what Envoy expects. No rule
// and no arithmetic lives here.
package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/descriptors"
)

// Options are what a [Service] needs. Rules, Room, Keys and Observe are required.
type Options struct {
	Rules   func() *descriptors.Rules // the rules now in force, nil if none were ever loaded
	Room    *waiting.Room             // the store, and where its callers wait
	Keys    *Keys                     // of receipts, the same in all replicas
	Observe Observer
	// Trace follows a call, if it is to be followed; nil: none is. It answers nil for one that is
	// not. With the context the call goes on.
	Trace func(context.Context) (context.Context, Trace)
	Now   func() time.Time // the clock that dates receipts, nil: the machine's

	Headers     HeaderStyle
	Degraded    DegradedStyle
	RetryJitter time.Duration       // Retry-After is less than this much later than needed, each time another; 0: as needed
	Random      func(n int64) int64 // of 0 to n-1, nil: the machine's
	Bounds      Bounds
	AllowExcess bool // the verdict on a request beyond one of Bounds
}

// HeaderStyle says which headers tell a client where it stands.
type HeaderStyle uint8

const (
	HeadersOff     HeaderStyle = iota
	HeadersLegacy              // X-RateLimit-Limit, -Remaining, -Reset
	HeadersDraft10             // RateLimit-Policy and RateLimit of draft-ietf-httpapi-ratelimit-headers-10
)

// Service answers envoy.service.ratelimit.v3.RateLimitService, see
// [Service.Register].
type Service struct {
	options Options
	load    load
}

// New returns a service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observe.Ended == nil {
		o.Observe.Ended = func(string, string, int) {}
	}
	if o.Observe.Limited == nil {
		o.Observe.Limited = func(string, string) {}
	}
	if o.Random == nil {
		o.Random = rand.Int64N
	}
	o.Bounds = o.Bounds.bounded()
	return &Service{options: o}
}

// ask judges one request, and holds it at most for longest.
//
// What a client can provoke is answered with a verdict, because Envoy admits a
// request when its limiter fails. Errors are left for what only an operator can
// cause: INVALID_ARGUMENT without a domain or descriptors, UNAVAILABLE while no
// rules were ever loaded or when the store fails under `on_store_error: error`.
func (s *Service) ask(ctx context.Context, c *call, longest time.Duration) error {
	start := time.Now()
	if s.options.Trace != nil {
		ctx, c.trace = s.options.Trace(ctx)
	}
	err := s.decide(ctx, c, attempt{start: start, first: true, longest: longest})
	result := ResultOK
	switch {
	case err != nil:
		result = ResultError
	case c.verdict.over:
		result = ResultOverLimit
	}
	s.tell(c, result, time.Since(start))
	return err
}

func (s *Service) decide(ctx context.Context, c *call, a attempt) error {
	rules, request := s.options.Rules(), &c.request
	switch {
	case request.Domain == "":
		return status.Error(codes.InvalidArgument, "the rate limit domain must not be empty")
	case len(request.Descriptors) == 0:
		return status.Error(codes.InvalidArgument, "the list of rate limit descriptors must not be empty")
	case rules == nil:
		return status.Error(codes.Unavailable, "no rate limit rules have been loaded")
	}
	bound := c.shed(s.load.enter(c))
	defer s.load.leave(c)
	s.redeemAll(ctx, rules, request)
	if bound != within {
		s.settle(ctx, rules, request)
		s.excess(c, bound, &descriptors.Resolution{Response: rules.Response(request.Domain)})
		return nil
	}
	for ; ; a.first = false {
		a.changed = s.options.Room.Changed()
		rules = s.options.Rules() // asked for after changed, so that no change is missed
		if err := s.judge(ctx, rules, c, a); !errors.Is(err, waiting.ErrChanged) {
			return err
		}
	}
}

// attempt is one judging of a request. A request that waits is judged anew when
// the rules change.
type attempt struct {
	start   time.Time // of the first one
	first   bool
	longest time.Duration // that its caller wants to be held, whatever the rules allow
	changed <-chan struct{}
}

// judge decides a request by the rules as they are now.
func (s *Service) judge(ctx context.Context, rules *descriptors.Rules, c *call, a attempt) error {
	found := rules.Resolve(&c.request)
	if a.first {
		s.observeResolution(c.request.Domain, &found)
	}
	refused := found.DenyUnmatched && len(found.Unmatched) > 0
	end := newReceipt(found.Matches)
	nameLeases(&end, found.Matches)
	charges := chargesOf(found.Matches, refused)
	if len(charges) > maxCharges(end) {
		if a.first {
			s.settle(ctx, rules, &c.request)
		}
		s.excess(c, LimitsBound, &found)
		return nil
	}
	if !a.first {
		askOnly(charges)
	}
	wait := waitOf(ctx, found.Matches, a)
	if wait.Max > 0 {
		wait.Queued = func() { s.load.hold(c) }
	}
	outcomes, waited, err := s.options.Room.Take(ctx, charges, wait)
	switch {
	case errors.Is(err, waiting.ErrChanged):
		return err
	case err != nil:
		return storeError(ctx, err)
	}
	v := &c.verdict
	v.decide(len(c.request.Descriptors), &found, outcomes)
	v.tells = s.options.Degraded
	if v.waited = waited > 0 || !a.first; v.waited {
		waited = time.Since(a.start)
	}
	s.spread(v)
	s.observeVerdict(v, &c.request, waited, c.traceID())
	if c.trace != nil && v.waited {
		c.trace.Waited(a.start)
	}
	s.observeBreakers(rules, charges, outcomes)
	s.observeRefusal(v, &c.request, &found)
	if ctx.Err() != nil {
		s.handBack(ctx, rules, v)
		return status.FromContextError(ctx.Err()).Err()
	}
	if end.needed && end.fill(v, s.options.Now()) {
		v.receipt = s.options.Keys.seal(&end)
	}
	return nil
}

// askOnly makes charges that give back or settle do nothing: they were made when
// the request was judged first.
func askOnly(charges []buckets.Charge) {
	for i := range charges {
		if !charges[i].Asks() {
			charges[i].Cost = 0
		}
	}
}

// chargesOf are the charges of the limits that have a bucket, in order. A
// request that is refused whatever its buckets say only looks at them.
func chargesOf(matches []descriptors.Match, refused bool) []buckets.Charge {
	charges := make([]buckets.Charge, 0, len(matches))
	for i := range matches {
		if matches[i].Limit.Unlimited {
			continue
		}
		charges = append(charges, matches[i].Charge)
		if last := &charges[len(charges)-1]; refused && last.Mode == buckets.Take {
			last.Mode = buckets.Look
		}
	}
	return charges
}

// spread has who is refused return a little later than he could.
func (s *Service) spread(v *verdict) {
	if v.over && s.options.RetryJitter > 0 {
		v.jitter = time.Duration(s.options.Random(int64(s.options.RetryJitter)))
	}
}

// storeError is the status of a call whose store failed. A caller that has left
// is told so, because that is no failure of the store.
func storeError(ctx context.Context, err error) error {
	if gone := ctx.Err(); gone != nil {
		return status.FromContextError(gone).Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return status.Error(codes.Unavailable, "the bucket store did not answer in time")
	}
	return status.Error(codes.Unavailable, "the bucket store failed")
}
