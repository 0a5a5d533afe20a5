// Package admin is the HTTP side of weir. Each part adds its own pages and says who
// may use them; the index at / lists them.
package admin

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
)

// Route is one method of a path, and who may use it.
type Route struct {
	Method string
	Path   string // with {NAME} for what a caller fills in
	Who    Role   // the least that the caller must be
	Shows  string // what the index says of it
	Asks   bool   // it changes nothing but who is logged in, whatever its method
}

// Pages is a registry of routes and the handler that serves them. Nobody is served
// what is not registered, nor anything by who may not use it.
type Pages struct {
	guard Guard
	mux   http.ServeMux
	sites map[string]site // by the pattern of their path
	index []Route
	front Front
}

// site is a path: its routes, by method.
type site map[string]guarded

// guarded is a route, with what serves it.
type guarded struct {
	who     Role
	handler http.Handler
}

// New returns a registry that has only the index, and lets guard decide who asks.
func New(guard Guard) *Pages {
	guard.sessions = &sessions{all: map[[sha256.Size]byte]session{}}
	p := &Pages{guard: guard, sites: map[string]site{}}
	p.Add(Viewer, http.MethodGet, "/{$}", "this list", http.HandlerFunc(p.list))
	p.mux.Handle("/", p.serve(site{http.MethodGet: {who: Viewer}}, nothingHere))
	return p
}

// Add serves a method of a path, a pattern of [http.ServeMux], to callers who are at
// least who, and lists it in the index as what it shows. GET serves HEAD too. The
// headers of an answer let a page load nothing; a handler whose page needs something
// states a Content-Security-Policy of its own.
//
// It panics, at the start of the program, if nobody is said who may use the route, or
// if one that changes something is open to other than operators.
func (p *Pages) Add(who Role, method, pattern, shows string, h http.Handler) {
	if method != http.MethodGet && who != Operator {
		panic("admin: " + method + " " + pattern + " is not for operators alone, though it may change something")
	}
	p.add(who, Route{Method: method, Path: pattern, Shows: shows, Asks: method == http.MethodGet}, h)
}

// AddQuestion is Add of a POST that changes nothing but who is logged in: what is sent
// is too large for a URL, or should not be in one.
func (p *Pages) AddQuestion(who Role, pattern, shows string, h http.Handler) {
	p.add(who, Route{Method: http.MethodPost, Path: pattern, Shows: shows, Asks: true}, h)
}

func (p *Pages) add(who Role, r Route, h http.Handler) {
	if who < Everyone || who > Operator {
		panic("admin: it is not said who may use " + r.Method + " " + r.Path)
	}
	s, known := p.sites[r.Path]
	if !known {
		s = site{}
		p.sites[r.Path] = s
		p.mux.Handle(r.Path, p.serve(s, wrongMethod))
	}
	s[r.Method] = guarded{who, h}
	r.Who, r.Path = who, strings.NewReplacer("{$}", "", "...}", "}").Replace(r.Path)
	p.index = append(p.index, r)
	slices.SortFunc(p.index, func(a, b Route) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
}

// Routes are all that there is, in the order of their paths and methods.
func (p *Pages) Routes() []Route { return slices.Clone(p.index) }

func (p *Pages) list(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if p.front.Home != "" && wantsPage(r) {
		http.Redirect(w, r, p.front.Home, http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range p.index {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Path, r.Method, r.Who, r.Shows)
	}
	_ = table.Flush() // a caller who has left needs no index
}

// serve answers who may use a site, and otherwise tells a method that is not there.
func (p *Pages) serve(s site, otherwise func(site) *problem) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		route, known := s[method]
		if !known {
			route.who = s.least()
		}
		r, refused := p.guard.admit(r, route.who)
		switch {
		case refused != nil:
			p.refuse(w, r, refused)
		case route.handler == nil:
			p.refuse(w, r, otherwise(s))
		default:
			route.handler.ServeHTTP(w, r)
		}
	})
}

// least is who may use any of a site's routes, and so may know that it is there.
func (s site) least() Role {
	who := Operator
	for _, route := range s {
		who = min(who, route.who)
	}
	return who
}

func nothingHere(site) *problem {
	return &problem{Status: http.StatusNotFound, Detail: "there is nothing at this path", Remedy: "GET / lists what there is"}
}

func wrongMethod(s site) *problem {
	methods := slices.Collect(maps.Keys(s))
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	allowed := strings.Join(methods, ", ")
	return &problem{
		Status: http.StatusMethodNotAllowed, Detail: "this path does not know the method", Remedy: "use " + allowed,
		header: http.Header{"Allow": {allowed}},
	}
}

// ServeHTTP implements [http.Handler].
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header(), r.TLS != nil)
	if r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	}
	if !clean(r) {
		bad("", "the path has empty or dotted parts", "write a slash that belongs to a name as %2F").write(w)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// secure states for each answer what a browser may do with it: show it alone, as what
// it says that it is, and keep no copy.
func secure(h http.Header, private bool) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	if private {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// clean tells whether a path is as the mux would have it: it would send who asks for
// limits/a//b to limits/a/b, which may be another limit.
func clean(r *http.Request) bool {
	escaped := r.URL.EscapedPath()
	return path.Clean(escaped) == strings.TrimSuffix(escaped, "/") || escaped == "/"
}
