package main

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// fleet is the backends, and what they see together.
type fleet struct {
	backends []*backend

	mu     sync.Mutex
	served map[string]int // calls, by path
	now    int            // units in flight
	most   int            // of them, at any time
}

// backend is one server. It has no limiter of its own.
type backend struct {
	fleet *fleet
	ill   atomic.Bool // fails its health checks
}

func newFleet(n int) *fleet {
	f := &fleet{served: map[string]int{}}
	for range n {
		f.backends = append(f.backends, &backend{fleet: f})
	}
	return f
}

// weights are what a call of each API costs.
var weights = map[string]int{"a": 1, "b": 2, "c": 3}

// ServeHTTP serves a call: its query may name how long it works, and that it
// fails.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		if b.ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	units := weights[r.URL.Path[max(0, len(r.URL.Path)-1):]]
	b.fleet.begin(r.URL.Path, units)
	defer b.fleet.end(units)
	if work, err := time.ParseDuration(r.URL.Query().Get("work")); err == nil {
		select {
		case <-time.After(work):
		case <-r.Context().Done():
		}
	}
	if r.URL.Query().Has("fail") {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte("served\n")) // the caller is gone where writing fails
}

func (f *fleet) begin(path string, units int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.served[path]++
	f.now += units
	f.most = max(f.most, f.now)
}

func (f *fleet) end(units int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now -= units
}

// calls is how many calls of a path have arrived.
func (f *fleet) calls(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.served[path]
}

// mostInFlight is the most units that were in flight at a time since it was asked
// last.
func (f *fleet) mostInFlight() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := f.most
	f.most = f.now
	return most
}
