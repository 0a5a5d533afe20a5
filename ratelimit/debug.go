package ratelimit

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/pprof"
	"slices"
)

// page is one of the debug port.
type page struct {
	about string
	serve http.Handler
}

// newDebug serves pages by their paths and Go's profiles, and a list of them at any other
// path.
func newDebug(pages map[string]page) http.Handler {
	pages = maps.Clone(pages)
	for path, profile := range map[string]page{
		"/debug/pprof/":        {"profiles by name, and a list of them", http.HandlerFunc(pprof.Index)},
		"/debug/pprof/cmdline": {"the command line", http.HandlerFunc(pprof.Cmdline)},
		"/debug/pprof/profile": {"profile of the CPU, of ?seconds=30", http.HandlerFunc(pprof.Profile)},
		"/debug/pprof/symbol":  {"names of addresses", http.HandlerFunc(pprof.Symbol)},
		"/debug/pprof/trace":   {"trace of what runs, of ?seconds=1", http.HandlerFunc(pprof.Trace)},
	} {
		pages[path] = profile
	}
	mux := http.NewServeMux()
	for path, p := range pages {
		mux.Handle(path, p.serve)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		for _, path := range slices.Sorted(maps.Keys(pages)) {
			fmt.Fprintf(w, "%s: %s\n", path, pages[path].about)
		}
	})
	return mux
}
