package decide

import (
	"math"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

// judge decides whether a limit is over, once it is known where its bucket stands, and
// counts its hits by that.
func (s *Service) judge(m *met, asked time.Time) {
	switch {
	case m.known:
		m.over = true
		m.stats.OverLimit.Add(m.hits)
		m.stats.OverLimitWithLocalCache.Add(m.hits)
	case m.gives():
		if m.Limit.Reference && m.after <= m.Limit.Requests {
			s.cache.forget(m.charge.Key)
		}
		return
	case m.outcome.Blind: // the store does not answer, and on_store_error decides
		m.over = !m.outcome.Admitted || m.charge.OnStoreError == buckets.Deny
		return
	case !m.Limit.Reference:
		if m.over = !m.outcome.Admitted; m.over {
			m.left = m.outcome.Delay
			m.stats.OverLimit.Add(m.hits)
		} else {
			m.stats.WithinLimit.Add(m.hits)
		}
	default:
		m.over = m.after > m.Limit.Requests
		threshold := nearThreshold(m.Limit.Requests, s.options.Settings.NearLimitRatio)
		tally(m.stats, max(0, m.after-m.cost), m.after, m.Limit.Requests, threshold, m.hits)
		if m.over {
			s.cache.keep(m.charge.Key, m.after, asked.Add(m.left))
		}
	}
	if m.over && m.shadow() {
		m.stats.ShadowMode.Add(m.hits)
	}
}

// refuses tells that the limit is over, and not in shadow mode.
func (m *met) refuses() bool { return m.over && !m.shadow() }

// remaining is how many hits are left, 0 where the limit is over.
func (m *met) remaining() uint32 {
	left := int64(0)
	switch {
	case m.over:
	case m.Limit.Reference:
		left = m.Limit.Requests - m.after
	default:
		left = m.charge.Bucket.Remaining(m.outcome.Used)
	}
	return uint32(min(max(left, 0), math.MaxUint32))
}

// tellsMoreThan orders the limits of one descriptor, of which its status shows one: what
// refuses, then what has the least left. All of them are quotas or none.
func (m *met) tellsMoreThan(other *met) bool {
	if m.refuses() != other.refuses() {
		return m.refuses()
	}
	return m.remaining() < other.remaining()
}

// tell fills in what a status shows of a limit beside its code: nothing where the store
// was not asked, for then what is left is not known.
func (m *met) tell(status *rls.RateLimitResponse_DescriptorStatus) {
	if m.outcome.Blind {
		return
	}
	status.CurrentLimit = currentLimit(m.Limit)
	status.LimitRemaining = m.remaining()
	status.DurationUntilReset = &durationpb.Duration{Seconds: wholeSeconds(m.left)}
}

// wholeSeconds are the seconds until something that is so far away, by a clock that shows
// whole seconds: a window that ends in half a second ends at the next one.
func wholeSeconds(d time.Duration) int64 {
	return int64((max(d, 0) + time.Second - 1) / time.Second)
}

const day = 24 * time.Hour

// units are those of Envoy's API with their lengths, longest first.
var units = []struct {
	unit   descriptors.Unit
	length time.Duration
	name   rls.RateLimitResponse_RateLimit_Unit
}{
	{descriptors.Year, 365 * day, rls.RateLimitResponse_RateLimit_YEAR},
	{descriptors.Month, 30 * day, rls.RateLimitResponse_RateLimit_MONTH},
	{descriptors.Week, 7 * day, rls.RateLimitResponse_RateLimit_WEEK},
	{descriptors.Day, day, rls.RateLimitResponse_RateLimit_DAY},
	{descriptors.Hour, time.Hour, rls.RateLimitResponse_RateLimit_HOUR},
	{descriptors.Minute, time.Minute, rls.RateLimitResponse_RateLimit_MINUTE},
	{descriptors.Second, time.Second, rls.RateLimitResponse_RateLimit_SECOND},
}

// currentLimit is a limit in the terms of Envoy's API: nil for what is no rate, or of a
// period that has no unit there.
func currentLimit(l *descriptors.Limit) *rls.RateLimitResponse_RateLimit {
	if l.Period <= 0 {
		return nil
	}
	for _, u := range units {
		if l.Unit != u.unit && (l.Unit != descriptors.UnknownUnit || l.Period%u.length != 0) {
			continue
		}
		limit := &rls.RateLimitResponse_RateLimit{
			Name: text(l.Stated()), RequestsPerUnit: uint32(min(l.Requests, math.MaxUint32)), Unit: u.name,
		}
		if times := l.Period / u.length; times > 1 {
			limit.UnitMultiplier = wrapperspb.UInt32(uint32(min(times, math.MaxUint32)))
		}
		return limit
	}
	return nil
}
