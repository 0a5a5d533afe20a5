package service

import (
	"math"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/weir-rls/weir/descriptors"
)

// appendTo appends the verdict as a RateLimitResponse in its wire form (field
// numbers of envoy/service/ratelimit/v3/rls.proto). Body and content type are for
// refusals alone: Envoy would append a content type to that of an admitted request's
// response.
func (v *verdict) appendTo(b []byte, style HeaderStyle) []byte {
	b = appendNumber(b, 1, code(v.over))
	for i := range v.statuses {
		var at int
		b, at = beginMessage(b, 2)
		b = endMessage(v.statuses[i].appendTo(b), at)
	}
	for _, h := range v.headers(style) {
		b = h.appendTo(b)
	}
	b = v.appendDegraded(b)
	if v.over {
		b = v.appendRefusal(b)
	}
	if v.receipt != "" {
		b = appendMetadata(b, metadata{"receipt", v.receipt})
	}
	return v.appendStated(b)
}

func (v *verdict) appendRefusal(b []byte) []byte {
	if delay, hope := v.retryAfter(); hope {
		b = numberHeader("Retry-After", wholeSeconds(delay)).appendTo(b)
	}
	body, headers := v.render(v.response())
	for _, h := range headers {
		b = h.appendTo(b)
	}
	b = appendBytes(b, 5, body)
	if v.reason == "limit" {
		return appendMetadata(b, metadata{"reason", v.reason}, metadata{"limit", v.decisive.Limit.Name})
	}
	return appendMetadata(b, metadata{"reason", v.reason})
}

// appendTo appends a DescriptorStatus.
func (s *shown) appendTo(b []byte) []byte {
	b = appendNumber(b, 1, code(s.over))
	switch {
	case s.met == nil || s.Blind && !s.over: // what is left is not known
		return b
	case s.Blind:
		return appendLimit(b, s.Limit)
	case s.Limit.Unlimited:
		return appendNumber(b, 3, math.MaxUint32)
	}
	b = appendLimit(b, s.Limit)
	if s.showsLevel() {
		b = appendNumber(b, 3, uint64(min(s.remaining(), math.MaxUint32)))
	}
	switch {
	case s.hopeless || s.Charge.Bucket.Size() == 0 || s.timeless(): // there is no such time
		return b
	case s.over:
		return appendDuration(b, time.Duration(wholeSeconds(s.Delay))*time.Second)
	}
	return appendDuration(b, s.Reset)
}

// appendDuration appends the time until a limit is reset.
func appendDuration(b []byte, d time.Duration) []byte {
	b, at := beginMessage(b, 4)
	b = appendNumber(b, 1, uint64(d/time.Second))
	b = appendNumber(b, 2, uint64(d%time.Second))
	return endMessage(b, at)
}

func code(over bool) uint64 {
	if over {
		return uint64(rls.RateLimitResponse_OVER_LIMIT)
	}
	return uint64(rls.RateLimitResponse_OK)
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

// unitOf is the limit's period as Envoy shows it, so many times a unit: not at all
// where it has no rate, as slots and breakers, or its period is no whole number of
// seconds.
func unitOf(l *descriptors.Limit) (unit rls.RateLimitResponse_RateLimit_Unit, times uint32, shown bool) {
	switch l.CalendarUnit() {
	case descriptors.Month:
		return rls.RateLimitResponse_RateLimit_MONTH, 1, true
	case descriptors.Year:
		return rls.RateLimitResponse_RateLimit_YEAR, 1, true
	}
	if l.Period == 0 {
		return 0, 0, false
	}
	for _, u := range units {
		if l.Period%u.length == 0 {
			times := l.Period / u.length
			return u.name, uint32(times), times <= math.MaxUint32
		}
	}
	return 0, 0, false
}

// appendLimit appends a RateLimit, the limit's rate.
func appendLimit(b []byte, l *descriptors.Limit) []byte {
	unit, times, shown := unitOf(l)
	if !shown {
		return b
	}
	b, at := beginMessage(b, 2)
	b = appendNumber(b, 1, uint64(min(l.Requests, math.MaxUint32)))
	b = appendNumber(b, 2, uint64(unit))
	b = appendText(b, 3, l.Name)
	if times > 1 {
		var wrapped int
		b, wrapped = beginMessage(b, 4)
		b = endMessage(appendNumber(b, 1, uint64(times)), wrapped)
	}
	return endMessage(b, at)
}

// header is one of the response's headers.
type header struct{ name, value string }

// appendTo appends a HeaderValue to the headers that Envoy adds to the response.
func (h header) appendTo(b []byte) []byte {
	b, at := beginMessage(b, 3)
	return endMessage(appendText(appendText(b, 1, h.name), 2, h.value), at)
}
