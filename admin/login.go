package admin

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Refusal is why a request is not answered as it would be, and what to do.
type Refusal struct {
	Status         int
	Detail, Remedy string
}

// Front is what people see of weir, who come with a browser.
type Front struct {
	Home string // the path of the page to begin at
	// Refused shows a browser why it does not get the page that it asks for.
	Refused func(w http.ResponseWriter, r *http.Request, why Refusal)
}

// SetFront shows browsers pages instead of lists and JSON.
func (p *Pages) SetFront(f Front) { p.front = f }

// refuse answers why a request is not served.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, why *problem) {
	if p.front.Refused == nil || !wantsPage(r) {
		why.write(w)
		return
	}
	for name, values := range why.header {
		w.Header()[name] = values
	}
	w.Header().Del("Www-Authenticate") // a browser would ask for a password itself
	p.front.Refused(w, r, Refusal{why.Status, why.Detail, why.Remedy})
}

// wantsPage tells whether somebody opens a page in a browser.
func wantsPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// Caller is who asks for a page.
type Caller struct {
	Role    Role
	Name    string // of the token, empty: it has none
	Session bool   // he has logged in, and can log out
}

// CallerOf is who asks, on a route that is not for everyone.
func CallerOf(r *http.Request) Caller {
	who, _ := r.Context().Value(identityKey{}).(identity)
	return Caller{who.role, who.name, who.session}
}

// LoginState tells whether anybody can log in, because tokens are set up, and
// whether this caller is known already, or needs no login.
func (p *Pages) LoginState(r *http.Request) (possible, known bool) {
	_, refused := p.guard.identify(r)
	return p.guard.Tokens != nil, refused == nil
}

// LogIn begins a session for the browser that sends the text of a token, and gives
// it the cookie. It answers why not, if it does not. How often a caller may try is
// the guard's to say.
func (p *Pages) LogIn(w http.ResponseWriter, r *http.Request, text string) *Refusal {
	refused := func(status int, detail, remedy string) *Refusal {
		if p.guard.Refused != nil {
			p.guard.Refused(r, status, detail)
		}
		return &Refusal{status, detail, remedy}
	}
	if ofAnotherOrigin(r) {
		return refused(http.StatusForbidden, "a page of another origin asks", "open the login page of weir itself")
	}
	if p.guard.Tokens == nil {
		return refused(http.StatusUnprocessableEntity, "no tokens are set up, so that none is known", openTo)
	}
	if p.guard.Attempt != nil {
		if wait, allowed := p.guard.Attempt(r); !allowed {
			seconds := max(1, int64((wait+time.Second-1)/time.Second))
			w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
			return refused(http.StatusTooManyRequests, "there were too many attempts", "try again in "+strconv.FormatInt(seconds, 10)+" s")
		}
	}
	token, known := p.guard.Tokens().of(strings.TrimSpace(text))
	if !known {
		return refused(http.StatusUnprocessableEntity, "this token is not known", "send one of --admin-token or --admin-tokens-file; weir token makes one")
	}
	if sent, err := r.Cookie(cookieName(r)); err == nil { // whoever that was, it is this token now
		p.guard.sessions.end(sent.Value)
	}
	http.SetCookie(w, cookie(r, p.guard.sessions.begin(token.Hash, time.Now()), sessionLasts))
	return nil
}

// LogOut ends the caller's session.
func (p *Pages) LogOut(w http.ResponseWriter, r *http.Request) {
	if sent, err := r.Cookie(cookieName(r)); err == nil {
		p.guard.sessions.end(sent.Value)
	}
	http.SetCookie(w, cookie(r, "", -time.Second))
}
