package service

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

// headers tell the caller where he stands.
func (v *verdict) headers(style HeaderStyle) []header {
	switch {
	case style == HeadersLegacy && v.decisive != nil && v.decisive.showsLevel():
		return legacyHeaders(v.decisive)
	case style == HeadersDraft10:
		return v.draft10Headers()
	}
	return nil
}

// legacyHeaders tell the state of one limit in the three headers that most
// clients know. The limit is the bucket's capacity, so that what remains is
// never above it.
func legacyHeaders(m *met) []header {
	reset := m.Reset
	if m.refuses && !m.hopeless {
		reset = m.Delay
	}
	return []header{
		numberHeader("X-RateLimit-Limit", m.Charge.Bucket.Size()),
		numberHeader("X-RateLimit-Remaining", m.remaining()),
		numberHeader("X-RateLimit-Reset", wholeSeconds(reset)),
	}
}

// draft10Headers tell of all limits that could refuse the request, in the fields of
// draft-ietf-httpapi-ratelimit-headers-10: lists of structured fields (RFC 9651)
// with an item for each limit's name. Of limits with one name it is the one that
// tells more. Breakers have no quota, and a limit in shadow mode is nobody's
// business yet.
func (v *verdict) draft10Headers() []header {
	var shown []*met
	for i := range v.met {
		m := &v.met[i]
		if !m.hasQuota() {
			continue
		}
		same := 0
		for same < len(shown) && shown[same].Limit.Name != m.Limit.Name {
			same++
		}
		if same == len(shown) {
			shown = append(shown, m)
		} else if m.tellsMoreThan(shown[same]) {
			shown[same] = m
		}
	}
	if len(shown) == 0 {
		return nil
	}
	var policies, limits []string
	for _, m := range shown {
		policies = append(policies, m.policy())
		if !m.Blind { // what is left is not known
			limits = append(limits, v.serviceLimit(m))
		}
	}
	headers := []header{{"RateLimit-Policy", strings.Join(policies, ", ")}}
	if len(limits) > 0 {
		headers = append(headers, header{"RateLimit", strings.Join(limits, ", ")})
	}
	return headers
}

// hasQuota tells that the limit is one that a caller can use up.
func (m *met) hasQuota() bool {
	if m.Limit.Unlimited || !m.Charge.Asks() || m.Charge.Role == buckets.Shadow {
		return false
	}
	_, breaker := m.Charge.Bucket.(buckets.Breaker)
	return !breaker
}

// policy is the limit as a quota policy item: what its bucket holds and in what
// time that is there again. The window is left out where there is none, and where
// the limit admits nothing.
func (m *met) policy() string {
	b, item := m.Charge.Bucket, structuredString(m.Limit.Name)
	item += fmt.Sprintf(";q=%d", structuredInteger(b.Size()))
	if _, slots := b.(buckets.Slots); slots {
		return item + `;qu="concurrent-requests"`
	}
	if w := wholeSeconds(window(m.Limit, b)); w > 0 {
		item += fmt.Sprintf(";w=%d", structuredInteger(w))
	}
	return item
}

// window is the time in which what a bucket holds is there again.
func window(l *descriptors.Limit, b buckets.Bucket) time.Duration {
	if t, ok := b.(buckets.TokenBucket); ok {
		return t.Refill(t.Full())
	}
	return l.Period
}

// serviceLimit is the limit as a service limit item: what is left, and when there
// will be more. That is left out where nobody knows, where it is full, and where
// it lies beyond Retry-After, which must not be earlier.
func (v *verdict) serviceLimit(m *met) string {
	item := structuredString(m.Limit.Name) + fmt.Sprintf(";r=%d", structuredInteger(m.remaining()))
	t := wholeSeconds(m.next())
	if delay, hope := v.retryAfter(); hope && t > wholeSeconds(delay) {
		t = 0
	}
	if t > 0 {
		item += fmt.Sprintf(";t=%d", structuredInteger(t))
	}
	return item
}

// next is how long until the limit admits more: what was refused, else one token.
// Of a sliding window it is the latest time, for its tokens come back one by one.
func (m *met) next() time.Duration {
	switch {
	case m.hopeless:
		return 0
	case !m.Admitted:
		return m.Delay
	case m.Used == 0:
		return 0
	}
	if t, ok := m.Charge.Bucket.(buckets.TokenBucket); ok {
		return t.NextToken(m.Used)
	}
	return m.Reset
}

// structuredString is a string of RFC 9651, which has printable ASCII only. Other
// bytes are percent-encoded.
func structuredString(s string) string {
	const hex = "0123456789ABCDEF"
	b := append(make([]byte, 0, len(s)+2), '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = append(b, '%', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// structuredInteger is the nearest integer of RFC 9651, which has at most 15
// digits.
func structuredInteger(n int64) int64 { return min(n, 999_999_999_999_999) }

func numberHeader(name string, value int64) header {
	return header{name, strconv.FormatInt(value, 10)}
}

// wholeSeconds rounds up: a client that comes back a moment early is refused again.
func wholeSeconds(d time.Duration) int64 {
	return int64(d/time.Second) + min(1, int64(d%time.Second))
}
