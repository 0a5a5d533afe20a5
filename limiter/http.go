package limiter

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KeyFunc tells which key an HTTP request draws from.
type KeyFunc func(*http.Request) string

// RemoteAddr is the [KeyFunc] of the address that the connection comes from. Behind
// a proxy that is the proxy's: see [ForwardedFor].
func RemoteAddr(r *http.Request) string { return AddressKey(r.RemoteAddr) }

// Header returns the [KeyFunc] of the first value of a header, such as X-Api-Key.
// Requests without it share one bucket. Whoever may send what he likes in it has as
// many buckets as he likes, so check it before the limit.
func Header(name string) KeyFunc {
	name = http.CanonicalHeaderKey(name)
	return func(r *http.Request) string { return name + ": " + r.Header.Get(name) }
}

// ForwardedFor returns the [KeyFunc] of the client's address behind proxies that
// write X-Forwarded-For, of which trusted are the networks. The header is read from
// its end, where the nearest proxy wrote, up to the first address that is no trusted
// one: what stands before it came from the client, who may have made it up. A
// connection from elsewhere counts with its own address, whatever the header says,
// and where the header is not an address, the proxy that passed it on counts.
func ForwardedFor(trusted ...netip.Prefix) KeyFunc {
	trusted = slices.Clone(trusted)
	trusts := func(addr netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	return func(r *http.Request) string {
		client, ok := parseAddress(r.RemoteAddr)
		if !ok {
			return AddressKey(r.RemoteAddr)
		}
		for _, hops := range slices.Backward(r.Header.Values("X-Forwarded-For")) {
			for comma := len(hops); comma >= 0 && trusts(client); {
				hops = hops[:comma]
				comma = strings.LastIndexByte(hops, ',')
				before, ok := parseAddress(strings.TrimSpace(hops[comma+1:]))
				if !ok {
					return keyOf(client)
				}
				client = before
			}
		}
		return keyOf(client)
	}
}

const (
	// The type is that of draft-ietf-httpapi-ratelimit-headers-10.
	refusedBody = `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded",` +
		`"title":"Request cannot be satisfied as assigned quota has been exceeded","status":429}` + "\n"
	unknownBody = `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"The rate limit cannot be checked now."}` + "\n"
)

// Handler passes requests on to next that are allowed by the key that they draw
// from, and answers the others with 429 (Too Many Requests), a Retry-After header
// in whole seconds, unless waiting does not help, and a body of the form of RFC 9457,
// application/problem+json. Where the limit cannot be checked because the store
// does not answer and the limiter is to [ReturnError], the answer is 503.
//
// It panics if next or key is nil, or if [Validate] finds fault with the options.
func (l *Limiter) Handler(next http.Handler, key KeyFunc, opts ...Option) http.Handler {
	want, err := compileFixed(opts)
	switch {
	case next == nil || key == nil:
		panic("limiter: Handler without a next handler or a KeyFunc")
	case err != nil:
		panic(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, err := l.decide(r.Context(), key(r), &want)
		switch {
		case err != nil:
			problem(w, http.StatusServiceUnavailable, unknownBody)
		case d.Allowed:
			next.ServeHTTP(w, r)
		default:
			if d.RetryAfter > 0 {
				w.Header().Set("Retry-After", strconv.FormatInt(wholeSeconds(d.RetryAfter), 10))
			}
			problem(w, http.StatusTooManyRequests, refusedBody)
		}
	})
}

func problem(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // it fails when the client has left
}

// wholeSeconds rounds up: who comes back earlier is refused again.
func wholeSeconds(d time.Duration) int64 {
	seconds := int64(d / time.Second)
	if d%time.Second > 0 {
		seconds++
	}
	return seconds
}
