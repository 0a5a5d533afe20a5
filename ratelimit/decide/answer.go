package decide

import (
	"math"
	"strconv"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/descriptors"
)

// verdict is what becomes of one descriptor.
type verdict struct {
	*met                 // the limit that its status shows; nil: it met none
	unlimited, over bool // of the two neither, where it met none that refuses
	quota           bool // it refuses only where all quotas do
}

// answer is the response to a request whose limits were judged.
func (s *Service) answer(r *rls.RateLimitRequest, found *descriptors.Resolution, all []met) *rls.RateLimitResponse {
	verdicts := s.verdicts(len(r.Descriptors), found, all)
	statuses := make([]rls.RateLimitResponse_DescriptorStatus, len(verdicts))
	answer := &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK, Statuses: make([]*rls.RateLimitResponse_DescriptorStatus, len(verdicts))}
	for i := range verdicts {
		verdicts[i].fill(&statuses[i])
		answer.Statuses[i] = &statuses[i]
	}
	if s.options.Settings.Headers.On {
		answer.ResponseHeadersToAdd = s.options.Settings.Headers.of(decisive(verdicts, answer.Statuses))
	}
	if s.options.Settings.DynamicMetadata {
		answer.DynamicMetadata = metadata(r, verdicts, all)
	}
	switch {
	case !refused(verdicts):
	case s.options.Settings.ShadowMode:
		s.options.Stats.GlobalShadowMode.Add(1)
	default:
		answer.OverallCode = rls.RateLimitResponse_OVER_LIMIT
	}
	return answer
}

// verdicts are those of so many descriptors.
func (s *Service) verdicts(count int, found *descriptors.Resolution, all []met) []verdict {
	verdicts := make([]verdict, count)
	for i := range all {
		m := &all[i]
		if v := &verdicts[m.Descriptor]; v.met == nil || m.tellsMoreThan(v.met) {
			*v = verdict{met: m, over: m.refuses(), quota: m.Limit.Quota}
		}
	}
	for i := range found.Matches {
		if v := &verdicts[found.Matches[i].Descriptor]; v.met == nil {
			v.unlimited = true
		}
	}
	for i := range verdicts {
		verdicts[i].quota = verdicts[i].quota || s.options.Settings.QuotaMode
	}
	if found.DenyUnmatched {
		for _, i := range found.Unmatched {
			verdicts[i].over, verdicts[i].quota = true, false
		}
	}
	return verdicts
}

// refused tells whether a request is: by a descriptor that is no quota, or by its quotas
// if there are any and all are used up. Unlimited descriptors have no say.
func refused(verdicts []verdict) bool {
	quotas, left := 0, 0
	for _, v := range verdicts {
		switch {
		case v.unlimited:
		case v.quota && v.over:
			quotas++
		case v.quota:
			quotas, left = quotas+1, left+1
		case v.over:
			return true
		}
	}
	return quotas > 0 && left == 0
}

// fill fills in the status of the descriptor.
func (v *verdict) fill(status *rls.RateLimitResponse_DescriptorStatus) {
	if status.Code = rls.RateLimitResponse_OK; v.over {
		status.Code = rls.RateLimitResponse_OVER_LIMIT
	}
	switch {
	case v.met != nil:
		v.tell(status)
	case v.unlimited:
		status.LimitRemaining = math.MaxUint32
	}
}

// decisive is the status that headers tell of: the last one of a descriptor that refuses
// and is no quota, else that with the least left; nil if there is none with a limit.
func decisive(verdicts []verdict, statuses []*rls.RateLimitResponse_DescriptorStatus) (told *rls.RateLimitResponse_DescriptorStatus) {
	least := uint32(math.MaxUint32)
	for i, status := range statuses {
		if status.CurrentLimit == nil {
			continue
		}
		if status.LimitRemaining < least {
			told, least = status, status.LimitRemaining
		}
		if verdicts[i].over && !verdicts[i].quota {
			told = status
		}
	}
	return told
}

// of are the headers that tell of a status, none of nil.
func (h *Headers) of(status *rls.RateLimitResponse_DescriptorStatus) []*core.HeaderValue {
	if status == nil {
		return nil
	}
	return []*core.HeaderValue{
		{Key: h.Limit, Value: strconv.FormatUint(uint64(status.CurrentLimit.RequestsPerUnit), 10)},
		{Key: h.Remaining, Value: strconv.FormatUint(uint64(status.LimitRemaining), 10)},
		{Key: h.Reset, Value: strconv.FormatInt(status.DurationUntilReset.GetSeconds(), 10)},
	}
}
