package service

import (
	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/weir-rls/weir/descriptors"
)

// fromEnvoy is the request in the terms of the rules. It accepts every message:
// what makes no sense is left to the rules to judge.
func fromEnvoy(r *rls.RateLimitRequest) descriptors.Request {
	request := descriptors.Request{
		Domain: r.GetDomain(), Hits: uint64(r.GetHitsAddend()),
		Descriptors: make([]descriptors.Descriptor, len(r.GetDescriptors())),
	}
	for i, d := range r.GetDescriptors() {
		request.Descriptors[i] = descriptors.Descriptor{
			Entries: entriesFromEnvoy(d.GetEntries()),
			HasHits: d.GetHitsAddend() != nil, Hits: d.GetHitsAddend().GetValue(),
			Negative: d.GetIsNegativeHits(), Override: overrideFromEnvoy(d.GetLimit()),
		}
	}
	return request
}

func entriesFromEnvoy(entries []*ratelimit.RateLimitDescriptor_Entry) []descriptors.Entry {
	out := make([]descriptors.Entry, len(entries))
	for i, e := range entries {
		out[i] = descriptors.Entry{Key: e.GetKey(), Value: e.GetValue()}
	}
	return out
}

func overrideFromEnvoy(o *ratelimit.RateLimitDescriptor_RateLimitOverride) *descriptors.Override {
	if o == nil {
		return nil
	}
	return &descriptors.Override{
		Requests: o.GetRequestsPerUnit(), Unit: unitFromEnvoy(o.GetUnit()),
		Multiplier: o.GetUnitMultiplier().GetValue(),
	}
}

func unitFromEnvoy(u typev3.RateLimitUnit) descriptors.Unit {
	switch u {
	case typev3.RateLimitUnit_SECOND:
		return descriptors.Second
	case typev3.RateLimitUnit_MINUTE:
		return descriptors.Minute
	case typev3.RateLimitUnit_HOUR:
		return descriptors.Hour
	case typev3.RateLimitUnit_DAY:
		return descriptors.Day
	case typev3.RateLimitUnit_MONTH:
		return descriptors.Month
	case typev3.RateLimitUnit_YEAR:
		return descriptors.Year
	}
	return descriptors.UnknownUnit
}
