package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A browser sends no token when a page is opened. It sends the token once, and from
// then on a cookie that stands for it: 256 random bits, of which only the hash is
// kept, in memory. A session may do what its token may at the moment, and nothing
// once the token is taken away.

const (
	sessionLasts  = 12 * time.Hour // a working day
	sessionsOfOne = 32             // of one token: the oldest ends where there would be more
	maxSessions   = 4096           // of all tokens, likewise
)

// sessions are those of browsers that have logged in.
type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]session // by the hash of the cookie's value
}

type session struct {
	token [sha256.Size]byte // hash of the token that it stands for
	began time.Time
}

// begin is a new session's cookie value.
func (s *sessions) begin(token [sha256.Size]byte, now time.Time) string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // it never fails
	text := hex.EncodeToString(bits[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash, old := range s.all {
		if now.Sub(old.began) >= sessionLasts {
			delete(s.all, hash)
		}
	}
	s.drop(sessionsOfOne, func(other session) bool { return other.token == token })
	s.drop(maxSessions, func(session) bool { return true })
	s.all[sha256.Sum256([]byte(text))] = session{token, now}
	return text
}

// drop ends the oldest of the sessions that match, if there are most or more.
func (s *sessions) drop(most int, matches func(session) bool) {
	var oldest [sha256.Size]byte
	count := 0
	for hash, one := range s.all {
		if !matches(one) {
			continue
		}
		if count == 0 || one.began.Before(s.all[oldest].began) {
			oldest = hash
		}
		count++
	}
	if count >= most {
		delete(s.all, oldest)
	}
}

// tokenOf is the hash of the token that a cookie's value stands for.
func (s *sessions) tokenOf(text string, now time.Time) (token [sha256.Size]byte, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.all[sha256.Sum256([]byte(text))]
	return one.token, known && now.Sub(one.began) < sessionLasts
}

func (s *sessions) end(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(text)))
}

// private tells whether the browser asks over TLS, which a proxy may have ended.
func private(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// cookieName is that of a session's cookie. A browser takes the one with the prefix
// only over TLS and from this very host.
func cookieName(r *http.Request) string {
	if private(r) {
		return "__Host-weir-session"
	}
	return "weir-session"
}

func cookie(r *http.Request, value string, lasts time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/", MaxAge: int(lasts / time.Second),
		HttpOnly: true, Secure: private(r), SameSite: http.SameSiteStrictMode,
	}
}

// checkSession tells who asks by the cookie of a session, if the request has one.
func (g Guard) checkSession(r *http.Request) (who identity, known bool) {
	sent, err := r.Cookie(cookieName(r))
	if err != nil || g.sessions == nil || g.Tokens == nil {
		return identity{}, false
	}
	hash, known := g.sessions.tokenOf(sent.Value, time.Now())
	if !known {
		return identity{}, false
	}
	token, known := g.Tokens().withHash(hash)
	return identity{token.Role, token.Name, true}, known
}

// saysItsOrigin tells whether a request that may change something comes from a page
// of weir's own, and says so: a browser always does. That it says another one was
// found out before.
func saysItsOrigin(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	}
	return r.Header.Get("Sec-Fetch-Site") == "same-origin" || r.Header.Get("Origin") != ""
}
