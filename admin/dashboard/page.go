package dashboard

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/weir-rls/weir/admin"
)

// page is one page of the dashboard.
type page struct {
	name  string // of its template (templates/NAME.html) and, if it has one, its script (assets/NAME.js)
	path  string // a pattern of [http.ServeMux]
	title string // in the browser's tab and above the page
	menu  string // in the navigation; empty: it is not there
	icon  string // beside it, of templates/icons.html
	under string // the name of the page that the navigation marks in its place
	shows string // what the list of all paths says of it
	// data is what the template shows, as .Data. A [*notShown] answers who asks for
	// what is not there.
	data func(d *dashboard, r *http.Request) (any, error)
}

// pages are all that need to know who asks, in the order of the navigation.
var pages = []page{
	overviewPage,
	limitsPage,
	limitPage,
	poolsPage,
	rulesPage,
	modelsPage,
	eventsPage,
	changesPage,
}

// notShown is why a page cannot be shown, and what to do.
type notShown struct {
	admin.Refusal
}

func (n *notShown) Error() string { return n.Detail }

// mostQuoted bounds how much of what a caller asks for is repeated to him, in bytes.
const mostQuoted = 200

// quoted is what a caller asked for, as it is repeated to him.
func quoted(text string) string {
	if len(text) <= mostQuoted {
		return strings.ToValidUTF8(text, "\ufffd")
	}
	return strings.ToValidUTF8(text[:mostQuoted], "\ufffd") + "…"
}

// missing answers who asks for what is not there.
func missing(detail, remedy string) error {
	return &notShown{admin.Refusal{Status: http.StatusNotFound, Detail: detail, Remedy: remedy}}
}

// view is what each template is given.
type view struct {
	page
	Title   string
	Menu    []menuItem
	Script  string // its URL, empty: there is none
	Theme   string // light, dark, or empty: what the browser prefers
	Caller  admin.Caller
	Version string
	Data    any
}

type menuItem struct {
	Text, Icon, Link string
	Here             bool
}

// CanChange tells whether the caller may change something.
func (v view) CanChange() bool { return v.Caller.Role >= admin.Operator }

// RoleText is the caller's role, as it is shown, empty for who is not known.
func (v view) RoleText() string {
	if v.Caller.Role == 0 {
		return ""
	}
	return v.Caller.Role.String()
}

//go:embed templates
var templates embed.FS

// shown is a page with its template.
type shown struct {
	page
	of       *dashboard
	template *template.Template
}

// prepare reads the page's template. It panics where it has a mistake, at the start of
// the program.
func (d *dashboard) prepare(p page) *shown {
	t := template.New("layout.html").Funcs(d.helpers())
	return &shown{p, d, template.Must(t.ParseFS(templates, "templates/layout.html", "templates/icons.html", "templates/parts.html", "templates/"+p.name+".html"))}
}

// ServeHTTP implements [http.Handler].
func (s *shown) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var data any
	if s.data != nil {
		var err error
		if data, err = s.data(s.of, r); err != nil {
			s.of.fail(w, r, err)
			return
		}
	}
	s.write(w, r, http.StatusOK, data)
}

// fail shows why a page cannot be shown.
func (d *dashboard) fail(w http.ResponseWriter, r *http.Request, err error) {
	var known *notShown
	if !errors.As(err, &known) {
		known = &notShown{admin.Refusal{Status: http.StatusServiceUnavailable, Detail: err.Error(), Remedy: "try again in a moment"}}
	}
	d.pages[refusalPage.name].write(w, r, known.Status, known.Refusal)
}

// write shows the page with data.
func (s *shown) write(w http.ResponseWriter, r *http.Request, status int, data any) {
	v := view{
		page: s.page, Title: s.title, Theme: themeOf(r), Caller: admin.CallerOf(r),
		Version: s.of.Version, Data: data, Script: s.of.files.url(s.name + ".js"),
	}
	if v.Caller.Role > admin.Everyone {
		v.Menu = s.menuItems()
	}
	if titled, ok := data.(interface{ title() string }); ok {
		v.Title = titled.title()
	}
	var text bytes.Buffer
	if err := s.template.Execute(&text, v); err != nil {
		status = http.StatusInternalServerError
		text.Reset()
		text.WriteString("the page cannot be written: " + template.HTMLEscapeString(err.Error()))
	}
	pageHeaders(w.Header())
	w.Header().Set("Content-Length", strconv.Itoa(text.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // a caller who has left needs no page
}

func (s *shown) menuItems() (items []menuItem) {
	for _, p := range pages {
		if p.menu != "" {
			items = append(items, menuItem{p.menu, p.icon, p.path, p.name == s.name || p.name == s.under})
		}
	}
	return items
}

// pageHeaders let a page load scripts, styles and pictures of weir's own, and ask weir
// alone. Nothing in the page itself is a script or a style, and no script can make
// HTML of a text.
func pageHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("Referrer-Policy", "same-origin") // a form that is sent has an origin only with it
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

// themeOf is what the switch of the theme has left in a cookie.
func themeOf(r *http.Request) string {
	if cookie, err := r.Cookie("weir-theme"); err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}
