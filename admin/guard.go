package admin

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Guard decides who may use what.
type Guard struct {
	// Tokens are those that callers may send as Authorization: Bearer, at this moment.
	// nil: none are set up.
	Tokens func() Tokens
	// Certificates tells that the server verifies the certificates that clients
	// send. One that it verified is an operator's.
	Certificates bool
	// Refused is told of each request that is refused, with the status that answers
	// it and why. nil: nobody wants to know.
	Refused func(r *http.Request, status int, why string)
	// Attempt takes from a caller one attempt to log in, and tells how long until
	// there is another if there is none. nil: everybody may try as often as he likes.
	Attempt func(r *http.Request) (wait time.Duration, allowed bool)

	sessions *sessions
}

// identity is who asks: the role and, of a token, its name.
type identity struct {
	role    Role
	name    string
	session bool // by the cookie of a session
}

// identityKey is where a request's context has who asks.
type identityKey struct{}

// Callers of the same machine need nothing, as long as neither a token nor
// certificates are set up. A proxy on this machine makes everybody such a caller,
// and so does a page in a browser on it: the first tells of itself in a header,
// the second asks for a host that is not this machine (DNS rebinding), or says
// that it is of another origin.

// proxied tells whether a header is one by which a proxy tells for whom it asks,
// or that it is one: a sidecar's requests come from this machine too.
func proxied(name string) bool {
	switch name {
	case "Forwarded", "Via", "X-Real-Ip":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Envoy-")
}

// admit answers the request with who asks, or why it is not answered: the caller is
// not known, or less than the role that is wanted.
func (g Guard) admit(r *http.Request, wanted Role) (*http.Request, *problem) {
	if wanted == Everyone {
		return r, nil
	}
	who, refused := g.identify(r)
	if refused == nil && who.role < wanted {
		refused = &problem{
			Status: http.StatusForbidden, Field: "Authorization", Detail: "the token is a viewer's, which may read and nothing else",
			Remedy: "send the token of an operator",
		}
	}
	if refused != nil {
		if g.Refused != nil {
			g.Refused(r, refused.Status, refused.Detail)
		}
		return r, refused
	}
	ctx := context.WithValue(r.Context(), identityKey{}, who)
	still := func() bool {
		now, refused := g.identify(r)
		return refused == nil && now.role >= wanted
	}
	return r.WithContext(context.WithValue(ctx, stillKey{}, still)), nil
}

// stillKey is where a request's context has what tells whether it would be answered now,
// too: a token may be taken away, and a session end, while the answer lasts.
type stillKey struct{}

// stillAdmitted tells whether a request that was admitted would be so now.
func stillAdmitted(r *http.Request) bool {
	still, told := r.Context().Value(stillKey{}).(func() bool)
	return !told || still()
}

// identify tells who asks, or why that is nobody who is answered.
func (g Guard) identify(r *http.Request) (identity, *problem) {
	if ofAnotherOrigin(r) {
		return identity{}, &problem{Status: http.StatusForbidden, Detail: "a page of another origin asks", Remedy: "the API is not for pages of other sites"}
	}
	switch {
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
		return identity{role: Operator}, nil
	case g.Tokens != nil:
		return g.checkToken(r)
	case g.Certificates:
		return identity{}, &problem{Status: http.StatusForbidden, Detail: "the caller has no certificate that --http-client-ca signed", Remedy: "send one, or set up tokens (--admin-tokens-file) and send one"}
	}
	return identity{role: Operator}, checkLocal(r)
}

var crossOrigin = http.NewCrossOriginProtection()

// ofAnotherOrigin tells whether a page of another site makes a browser send the
// request, also one that only reads: the page could measure the answer, if not read
// it. Following a link is something else, which the caller does.
func ofAnotherOrigin(r *http.Request) bool {
	if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		return false
	}
	strict := *r
	strict.Method = http.MethodPost // the check lets those pass that only read
	return crossOrigin.Check(&strict) != nil
}

func (g Guard) checkToken(r *http.Request) (identity, *problem) {
	scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme == "" {
		if who, known := g.checkSession(r); known && saysItsOrigin(r) {
			return who, nil
		}
	}
	refused := &problem{
		Status: http.StatusUnauthorized, Field: "Authorization", Detail: "the token is missing",
		Remedy: "send the header Authorization: Bearer TOKEN with a token of --admin-token or --admin-tokens-file",
		header: http.Header{"Www-Authenticate": {`Bearer realm="weir"`}},
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return identity{}, refused
	}
	token, known := g.Tokens().of(strings.TrimSpace(sent))
	if !known {
		refused.Detail = "the token is wrong"
		return identity{}, refused
	}
	return identity{role: token.Role, name: token.Name}, nil
}

const openTo = "set --admin-token (WEIR_ADMIN_TOKEN) or --admin-tokens-file and send a token, or --http-client-ca and send a certificate"

func checkLocal(r *http.Request) *problem {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().IsLoopback() {
		return &problem{Status: http.StatusForbidden, Detail: "only callers on this machine are answered", Remedy: openTo}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if proxied(name) {
			return &problem{Status: http.StatusForbidden, Field: name, Detail: "a proxy asks for somebody else, and only callers on this machine are answered", Remedy: openTo}
		}
	}
	if !isLocal(r.Host) {
		return &problem{
			Status: http.StatusForbidden, Field: "Host", Detail: "the host that is asked for is not this machine",
			Remedy: "ask for 127.0.0.1 or localhost, or " + openTo,
		}
	}
	return nil
}

// isLocal tells whether a Host header names this machine.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

// AuthorOf is who asks, as far as is known: the default author of what is changed.
func AuthorOf(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return "certificate of " + r.TLS.VerifiedChains[0][0].Subject.CommonName
	}
	if who, _ := r.Context().Value(identityKey{}).(identity); who.name != "" {
		return who.name
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}
