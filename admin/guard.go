package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Guard decides who may use the API.
type Guard struct {
	// Token is what callers send as Authorization: Bearer. Empty: there is none.
	Token string
	// Certificates tells that the server verifies the certificates that clients
	// send. One that it verified opens the API.
	Certificates bool
}

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

var crossOrigin = http.NewCrossOriginProtection()

// refuse says why a request is not answered, nil if it is.
func (g Guard) refuse(r *http.Request) *problem {
	if err := crossOrigin.Check(r); err != nil {
		return &problem{Status: http.StatusForbidden, Detail: "a page of another origin asks", Remedy: "the API is not for pages of other sites"}
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return nil
	}
	switch {
	case g.Token != "":
		return g.checkToken(r)
	case g.Certificates:
		return &problem{Status: http.StatusForbidden, Detail: "the caller has no certificate that --http-client-ca signed", Remedy: "send one, or set --admin-token and send the token"}
	}
	return checkLocal(r)
}

func (g Guard) checkToken(r *http.Request) *problem {
	scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given, wanted := sha256.Sum256([]byte(strings.TrimSpace(sent))), sha256.Sum256([]byte(g.Token))
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(given[:], wanted[:]) == 1 {
		return nil
	}
	return &problem{
		Status: http.StatusUnauthorized, Field: "Authorization", Detail: "the token is missing or wrong",
		Remedy: "send the header Authorization: Bearer TOKEN with the token of --admin-token",
		header: http.Header{"Www-Authenticate": {`Bearer realm="weir"`}},
	}
}

const openTo = "set --admin-token (WEIR_ADMIN_TOKEN) and send the token, or --http-client-ca and send a certificate"

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

// caller is who asks, as far as is known: the default author of what is changed.
func caller(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return "certificate of " + r.TLS.VerifiedChains[0][0].Subject.CommonName
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}
