// Package admin is the HTTP side of weir. Each part adds its own page; the
// index at / lists them.
package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
)

// Pages is a registry of pages and the handler that serves them.
type Pages struct {
	mux   http.ServeMux
	index []page
}

// page is a path and what the index says of it.
type page struct{ path, shows string }

// New returns a registry that has only the index.
func New() *Pages {
	p := &Pages{}
	p.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, page := range p.index {
			fmt.Fprintf(table, "%s\t%s\n", page.path, page.shows)
		}
		_ = table.Flush() // a caller who has left needs no index
	})
	return p
}

// Add serves GET path with h and lists it in the index as what it shows.
func (p *Pages) Add(path, shows string, h http.Handler) {
	p.mux.Handle("GET "+path, h)
	p.list(path, shows)
}

func (p *Pages) list(path, shows string) {
	p.index = append(p.index, page{path, shows})
	slices.SortFunc(p.index, func(a, b page) int { return strings.Compare(a.path, b.path) })
}

// ServeHTTP implements [http.Handler].
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !clean(r) {
		bad("", "the path has empty or dotted parts", "write a slash that belongs to a name as %2F").write(w)
		return
	}
	p.mux.ServeHTTP(w, r)
}
