// Package decide answers Envoy's rate limit protocol as the reference service,
// envoyproxy/ratelimit, does: by windows that count what they refuse, with its modes, its
// response headers and its metadata. The buckets are weir's own, and so is each decision's
// atomicity; limits of weir's own form are judged beside those of the reference's.
package decide

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/ratelimit/stats"
)

// Options are what a [Service] needs. Rules, Store and Stats are required.
type Options struct {
	Rules     func() *descriptors.Rules // in force, of the Reference dialect; nil if none were ever loaded
	Store     buckets.Store
	PerSecond buckets.Store // for limits of a second, nil: Store is
	Stats     *stats.Stats
	Settings  Settings
	Log       *slog.Logger     // nil: nothing is logged
	Now       func() time.Time // the clock of the local cache, nil: the machine's
	Observe   Observer
}

// Observer is told what was decided, for metrics of weir's own. Its functions may be nil.
type Observer struct {
	Request func(result string, took time.Duration) // ok, over_limit or error
	// Limit is told of each limit that a request met: allowed, denied, shadow_denied or
	// refunded, and of how many hits.
	Limit func(l *descriptors.Limit, outcome string, hits uint64)
}

func (o Observer) request(answer *rls.RateLimitResponse, err error, took time.Duration) {
	switch {
	case o.Request == nil:
	case err != nil:
		o.Request("error", took)
	case answer.GetOverallCode() == rls.RateLimitResponse_OVER_LIMIT:
		o.Request("over_limit", took)
	default:
		o.Request("ok", took)
	}
}

func (o Observer) limits(all []met) {
	if o.Limit == nil {
		return
	}
	for i := range all {
		m := &all[i]
		outcome := "allowed"
		switch {
		case m.gives():
			outcome = "refunded"
		case m.refuses():
			outcome = "denied"
		case m.over:
			outcome = "shadow_denied"
		}
		o.Limit(m.Limit, outcome, m.hits)
	}
}

// Settings are those of the reference service that change decisions and answers, each
// with the environment variable that states it.
type Settings struct {
	NearLimitRatio  float32 // NEAR_LIMIT_RATIO
	LocalCacheBytes int     // LOCAL_CACHE_SIZE_IN_BYTES, 0: there is no cache
	ShadowMode      bool    // SHADOW_MODE: nothing is refused
	QuotaMode       bool    // QUOTA_MODE: all limits are quotas
	// StopIncrement is STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT: a request of which one
	// limit is over charges that one alone.
	StopIncrement   bool
	Headers         Headers
	DynamicMetadata bool // RESPONSE_DYNAMIC_METADATA: answers repeat the request
}

// Headers are those that Envoy adds to its client's response.
type Headers struct {
	On        bool   // LIMIT_RESPONSE_HEADERS_ENABLED
	Limit     string // LIMIT_LIMIT_HEADER, RateLimit-Limit
	Remaining string // LIMIT_REMAINING_HEADER, RateLimit-Remaining
	Reset     string // LIMIT_RESET_HEADER, RateLimit-Reset: seconds
}

// Service decides. It is to be registered with a gRPC server, see [Service.Register], and
// has an HTTP handler, see [Service.JSON].
type Service struct {
	rls.UnimplementedRateLimitServiceServer
	options Options
	cache   *cache // nil: there is none
}

// New returns a service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{options: o, cache: newCache(o.Settings.LocalCacheBytes, o.Now)}
	if s.cache != nil {
		o.Stats.LocalCache(s.cache.stats)
	}
	return s
}

// maxDescriptors bounds what one request can make weir do. Envoy's configuration decides
// how many it sends, and hardly ever has ten.
const maxDescriptors = 1000

// What a request is told that cannot be decided. gRPC sends each as UNKNOWN, and Envoy
// does what its failure_mode_deny says.
var (
	errNoDomain      = errors.New("rate limit domain must not be empty")
	errNoDescriptors = errors.New("rate limit descriptor list must not be empty")
	errNoRules       = errors.New("no rate limit configuration loaded")
	errTooMany       = fmt.Errorf("more than %d rate limit descriptors", maxDescriptors)
	errStore         = errors.New("the bucket store failed")
	errInternal      = errors.New("internal error")
)

// ShouldRateLimit implements [rls.RateLimitServiceServer]. Whatever is sent costs its
// sender an error at most.
func (s *Service) ShouldRateLimit(ctx context.Context, r *rls.RateLimitRequest) (answer *rls.RateLimitResponse, err error) {
	begun := time.Now()
	defer func() { s.options.Observe.request(answer, err, time.Since(begun)) }()
	defer func() {
		if cause := recover(); cause != nil {
			s.options.Log.Error("a decision panicked", "panic", cause, "stack", string(debug.Stack()))
			s.options.Stats.ServiceError.Add(1)
			answer, err = nil, errInternal
		}
	}()
	rules := s.options.Rules()
	switch {
	case r.GetDomain() == "":
		err = errNoDomain
	case len(r.GetDescriptors()) == 0:
		err = errNoDescriptors
	case len(r.GetDescriptors()) > maxDescriptors:
		err = errTooMany
	case rules == nil:
		err = errNoRules
	}
	if err != nil {
		s.options.Stats.ServiceError.Add(1)
		return nil, err
	}
	return s.decide(ctx, rules, r)
}

// decide decides a request that can be decided.
func (s *Service) decide(ctx context.Context, rules *descriptors.Rules, r *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	request := requestOf(r)
	found := rules.Resolve(&request)
	if !found.KnownDomain {
		for range request.Descriptors { // the reference looks for it with each
			s.options.Stats.DomainNotFound(request.Domain)
		}
	}
	all := s.meet(&request, found.Matches)
	asked := s.options.Now()
	if err := s.charge(ctx, all); err != nil {
		return nil, s.storeError(ctx, err)
	}
	for i := range all {
		s.judge(&all[i], asked)
	}
	s.options.Observe.limits(all)
	return s.answer(r, &found, all), nil
}

// charge asks the buckets of all limits.
func (s *Service) charge(ctx context.Context, all []met) error {
	if s.options.Settings.StopIncrement {
		return countIfAllPass(ctx, all, s.calls(all))
	}
	return count(ctx, s.calls(all))
}

// storeError is what a caller is told whose buckets could not be asked. One that has left
// is told so, because that is no failure of the store.
func (s *Service) storeError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	s.options.Stats.RedisError.Add(1)
	s.options.Log.Debug("the bucket store failed", "error", err)
	return errStore
}
