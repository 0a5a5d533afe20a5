package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/admin"
)

// site is a registry with a page to read and one to change something, which log browsers
// in by POST /login.
func site(guard admin.Guard) *admin.Pages {
	p := admin.New(guard)
	say := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, admin.CallerOf(r)) })
	p.Add(admin.Viewer, "GET", "/read", "", say)
	p.Add(admin.Operator, "PUT", "/change", "", say)
	p.AddQuestion(admin.Everyone, "/login", "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused := p.LogIn(w, r, r.FormValue("token")); refused != nil {
			http.Error(w, refused.Detail, refused.Status)
		}
	}))
	p.AddQuestion(admin.Viewer, "/logout", "", http.HandlerFunc(p.LogOut))
	return p
}

// browser keeps the cookies that it is given.
type browser struct {
	*admin.Pages
	cookies map[string]*http.Cookie
}

func newBrowser(p *admin.Pages) *browser { return &browser{p, map[string]*http.Cookie{}} }

func (b *browser) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if method != "GET" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", "http://example.com")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	for _, cookie := range b.cookies {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	for _, cookie := range w.Result().Cookies() {
		b.cookies[cookie.Name] = cookie
	}
	return w
}

func (b *browser) want(t *testing.T, status int, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	w := b.do(method, target, body, header...)
	if w.Code != status {
		t.Errorf("%s %s %v: %d %s, want %d", method, target, header, w.Code, w.Body, status)
	}
	return w
}

var (
	ofViewer   = admin.NewToken(admin.Viewer, "bob", "viewers")
	ofOperator = admin.NewToken(admin.Operator, "ann", "operators")
)

// A session may do what its token may, and says whose it is.
func TestSession_MayDoWhatItsTokenMay(t *testing.T) {
	p := site(admin.Guard{Tokens: tokens(ofViewer, ofOperator)})
	viewer, operator, stranger := newBrowser(p), newBrowser(p), newBrowser(p)
	viewer.want(t, 200, "POST", "/login", "token=viewers")
	operator.want(t, 200, "POST", "/login", "token=+operators+")
	stranger.want(t, 422, "POST", "/login", "token=nobodys")
	viewer.want(t, 200, "GET", "/read", "")
	viewer.want(t, 403, "PUT", "/change", "")
	stranger.want(t, 401, "GET", "/read", "")
	if w := operator.want(t, 200, "PUT", "/change", ""); w.Body.String() != "{operator ann true}" {
		t.Errorf("the caller is %s", w.Body)
	}
	kept := newBrowser(p) // who has copied the cookie has nothing of it afterwards
	kept.cookies["weir-session"] = operator.cookies["weir-session"]
	kept.want(t, 200, "GET", "/read", "")
	operator.want(t, 200, "POST", "/logout", "")
	kept.want(t, 401, "GET", "/read", "")
	operator.want(t, 401, "GET", "/read", "")
	viewer.want(t, 200, "GET", "/read", "")
}

// The cookie is of no use to scripts, to other sites and, where there is TLS, to who
// listens on the way.
func TestSession_TheCookieIsForThisSiteAlone(t *testing.T) {
	p := site(admin.Guard{Tokens: tokens(ofOperator)})
	for target, name := range map[string]string{"http://example.com/login": "weir-session", "https://example.com/login": "__Host-weir-session"} {
		b := newBrowser(p)
		b.want(t, 200, "POST", target, "token=operators", "Origin", strings.TrimSuffix(target, "/login"))
		c := b.cookies[name]
		if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Secure != (name != "weir-session") || c.MaxAge <= 0 || len(c.Value) != 64 {
			t.Errorf("%s: the cookies are %v", target, b.cookies)
		}
	}
}

// A page of another site can neither log somebody in nor use his session, also in a
// browser that says little of where a request comes from.
func TestSession_OtherSitesCannotUseIt(t *testing.T) {
	p := site(admin.Guard{Tokens: tokens(ofOperator)})
	b := newBrowser(p)
	for name, header := range map[string][]string{
		"another site":         {"Sec-Fetch-Site", "cross-site"},
		"a neighbour":          {"Sec-Fetch-Site", "same-site"},
		"an older browser":     {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
		"a frame in a sandbox": {"Sec-Fetch-Site", "", "Origin", "null"},
	} {
		t.Run(name, func(t *testing.T) {
			if w := b.want(t, 403, "POST", "/login", "token=operators", header...); len(w.Result().Cookies()) > 0 {
				t.Error("it is logged in all the same")
			}
		})
	}
	b.want(t, 200, "POST", "/login", "token=operators")
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
		b.want(t, 403, "PUT", "/change", "", header...)
	}
	b.want(t, 401, "PUT", "/change", "", "Sec-Fetch-Site", "", "Origin", "")
	b.want(t, 200, "PUT", "/change", "")
}

// A session ends with its time, and with its token.
func TestSession_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := admin.Tokens{ofViewer, ofOperator}
		p := site(admin.Guard{Tokens: func() admin.Tokens { return known }})
		b, other := newBrowser(p), newBrowser(p)
		b.want(t, 200, "POST", "/login", "token=operators")
		other.want(t, 200, "POST", "/login", "token=viewers")
		time.Sleep(12*time.Hour - time.Second)
		b.want(t, 200, "GET", "/read", "")
		known = known[:1]
		b.want(t, 401, "GET", "/read", "")
		other.want(t, 200, "GET", "/read", "")
		time.Sleep(time.Second)
		other.want(t, 401, "GET", "/read", "")
	})
}

// Who logs in again and again ends the oldest of his own sessions, and nobody else's.
func TestSession_TheirNumberIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := site(admin.Guard{Tokens: tokens(ofViewer, ofOperator)})
		first, other := newBrowser(p), newBrowser(p)
		first.want(t, 200, "POST", "/login", "token=viewers")
		other.want(t, 200, "POST", "/login", "token=operators")
		for range 31 {
			time.Sleep(time.Second)
			newBrowser(p).want(t, 200, "POST", "/login", "token=viewers")
		}
		first.want(t, 200, "GET", "/read", "")
		newBrowser(p).want(t, 200, "POST", "/login", "token=viewers")
		first.want(t, 401, "GET", "/read", "")
		other.want(t, 200, "GET", "/read", "")
	})
}

// A browser is shown a page, and not JSON, where it is refused; a program is told JSON.
func TestFront_ShowsBrowsersPages(t *testing.T) {
	p := site(admin.Guard{Tokens: tokens(ofOperator)})
	p.SetFront(admin.Front{Home: "/home", Refused: func(w http.ResponseWriter, _ *http.Request, why admin.Refusal) {
		w.WriteHeader(why.Status)
		fmt.Fprint(w, "page: "+why.Detail)
	}})
	b := newBrowser(p)
	if w := b.want(t, 401, "GET", "/read", "", "Accept", "text/html,*/*"); w.Body.String() != "page: the token is missing" || w.Header().Get("Www-Authenticate") != "" {
		t.Errorf("a browser is shown %q, %v", w.Body, w.Header())
	}
	if w := b.want(t, 401, "GET", "/read", "", "Accept", "*/*"); !strings.HasPrefix(w.Body.String(), "{") {
		t.Errorf("a program is told %s", w.Body)
	}
	b.want(t, 200, "POST", "/login", "token=operators")
	if w := b.want(t, 303, "GET", "/", "", "Accept", "text/html"); w.Header().Get("Location") != "/home" {
		t.Errorf("a browser is sent to %q", w.Header().Get("Location"))
	}
	b.want(t, 200, "GET", "/", "", "Accept", "*/*")
	b.want(t, 404, "GET", "/nothing", "", "Accept", "text/html")
}

// Who logs in again as somebody else leaves no session behind that still lets in.
func TestSession_EndsWhereAnotherBegins(t *testing.T) {
	b := newBrowser(site(admin.Guard{Tokens: tokens(ofViewer, ofOperator)}))
	b.want(t, 200, "POST", "/login", "token=operators")
	before := b.cookies["weir-session"]
	b.want(t, 200, "POST", "/login", "token=viewers")
	b.want(t, 403, "PUT", "/change", "")
	b.cookies["weir-session"] = before
	b.want(t, 401, "GET", "/read", "")
}
