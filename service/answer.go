package service

import (
	"math"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-rls/weir/descriptors"
)

// toEnvoy is the verdict in Envoy's terms. Body, content type and metadata are
// for refusals alone: Envoy would append a content type to that of an admitted
// request's response.
func (v *verdict) toEnvoy(headers HeaderStyle) *rls.RateLimitResponse {
	answer := &rls.RateLimitResponse{
		OverallCode: code(v.over),
		Statuses:    make([]*rls.RateLimitResponse_DescriptorStatus, len(v.statuses)),
	}
	for i, s := range v.statuses {
		answer.Statuses[i] = s.toEnvoy()
	}
	answer.ResponseHeadersToAdd = v.headers(headers)
	if v.over {
		v.explainRefusal(answer)
	}
	if v.receipt != "" {
		answer.DynamicMetadata = &structpb.Struct{Fields: map[string]*structpb.Value{"receipt": structpb.NewStringValue(v.receipt)}}
	}
	return answer
}

func (v *verdict) explainRefusal(answer *rls.RateLimitResponse) {
	if delay, hope := v.retryAfter(); hope {
		answer.ResponseHeadersToAdd = append(answer.ResponseHeadersToAdd, header("Retry-After", wholeSeconds(delay)))
	}
	fields := map[string]*structpb.Value{"reason": structpb.NewStringValue(v.reason)}
	if v.reason == "limit" {
		fields["limit"] = structpb.NewStringValue(v.decisive.Limit.Name)
	}
	answer.DynamicMetadata = &structpb.Struct{Fields: fields}

	body, headers := v.render(v.response())
	answer.RawBody = body
	answer.ResponseHeadersToAdd = append(answer.ResponseHeadersToAdd, headers...)
}

func (s shown) toEnvoy() *rls.RateLimitResponse_DescriptorStatus {
	status := &rls.RateLimitResponse_DescriptorStatus{Code: code(s.over)}
	switch {
	case s.met == nil || s.Blind && !s.over: // what is left is not known
		return status
	case s.Blind:
		status.CurrentLimit = currentLimit(s.Limit)
		return status
	case s.Limit.Unlimited:
		status.LimitRemaining = math.MaxUint32
		return status
	}
	status.CurrentLimit = currentLimit(s.Limit)
	if s.showsLevel() {
		status.LimitRemaining = uint32(min(s.remaining(), math.MaxUint32))
	}
	switch {
	case s.hopeless || s.Charge.Bucket.Size() == 0 || s.timeless(): // there is no such time
	case s.over:
		status.DurationUntilReset = durationpb.New(time.Duration(wholeSeconds(s.Delay)) * time.Second)
	default:
		status.DurationUntilReset = durationpb.New(s.Reset)
	}
	return status
}

func code(over bool) rls.RateLimitResponse_Code {
	if over {
		return rls.RateLimitResponse_OVER_LIMIT
	}
	return rls.RateLimitResponse_OK
}

// units are the periods of one length that Envoy can name, longest first.
var units = []struct {
	length time.Duration
	name   rls.RateLimitResponse_RateLimit_Unit
}{
	{7 * 24 * time.Hour, rls.RateLimitResponse_RateLimit_WEEK},
	{24 * time.Hour, rls.RateLimitResponse_RateLimit_DAY},
	{time.Hour, rls.RateLimitResponse_RateLimit_HOUR},
	{time.Minute, rls.RateLimitResponse_RateLimit_MINUTE},
	{time.Second, rls.RateLimitResponse_RateLimit_SECOND},
}

// currentLimit is the limit's rate as Envoy shows it, nil where it has none or
// its period is no whole number of seconds.
func currentLimit(l *descriptors.Limit) *rls.RateLimitResponse_RateLimit {
	requests := uint32(min(l.Requests, math.MaxUint32))
	switch l.CalendarUnit() {
	case descriptors.Month:
		return &rls.RateLimitResponse_RateLimit{Name: l.Name, RequestsPerUnit: requests, Unit: rls.RateLimitResponse_RateLimit_MONTH}
	case descriptors.Year:
		return &rls.RateLimitResponse_RateLimit{Name: l.Name, RequestsPerUnit: requests, Unit: rls.RateLimitResponse_RateLimit_YEAR}
	}
	if l.Period == 0 { // slots, and breakers
		return nil
	}
	for _, u := range units {
		if l.Period%u.length != 0 {
			continue
		}
		shown := &rls.RateLimitResponse_RateLimit{
			Name: l.Name, RequestsPerUnit: requests, Unit: u.name,
		}
		if times := l.Period / u.length; times > 1 {
			if times > math.MaxUint32 {
				return nil
			}
			shown.UnitMultiplier = wrapperspb.UInt32(uint32(times))
		}
		return shown
	}
	return nil
}
