package decide

import (
	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/descriptors"
)

// requestOf is a request in the terms of the rules.
func requestOf(r *rls.RateLimitRequest) descriptors.Request {
	request := descriptors.Request{
		Domain: r.GetDomain(), Hits: uint64(r.GetHitsAddend()), Descriptors: make([]descriptors.Descriptor, len(r.GetDescriptors())),
	}
	count := 0
	for _, d := range r.GetDescriptors() {
		count += len(d.GetEntries())
	}
	entries := make([]descriptors.Entry, 0, count)
	for i, d := range r.GetDescriptors() {
		begin := len(entries)
		for _, e := range d.GetEntries() {
			entries = append(entries, descriptors.Entry{Key: e.GetKey(), Value: e.GetValue()})
		}
		request.Descriptors[i] = descriptors.Descriptor{
			Entries: entries[begin:len(entries):len(entries)],
			HasHits: d.GetHitsAddend() != nil, Hits: d.GetHitsAddend().GetValue(),
			Negative: d.GetIsNegativeHits(), Override: overrideOf(d.GetLimit()),
		}
	}
	return request
}

func overrideOf(o *ratelimit.RateLimitDescriptor_RateLimitOverride) *descriptors.Override {
	if o == nil {
		return nil
	}
	return &descriptors.Override{Requests: o.GetRequestsPerUnit(), Unit: unitOf(int32(o.GetUnit())), Multiplier: o.GetUnitMultiplier().GetValue()}
}

// unitOf is a unit by its number in Envoy's API. An override's type has no week, but the
// reference takes the number for one of those that a response has.
func unitOf(number int32) descriptors.Unit {
	for _, u := range units {
		if int32(u.name) == number {
			return u.unit
		}
	}
	return descriptors.UnknownUnit
}
