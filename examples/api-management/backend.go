package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"
)

// backend is a service behind the gateway. It limits nothing, and says what it
// was told. X-Fail makes it fail: with that status, or by not answering (hang).
type backend struct {
	service string
	served  atomic.Int64
}

// heard is its answer.
type heard struct {
	Service string      `json:"service"`
	Path    string      `json:"path"`
	Header  http.Header `json:"header"`
}

// ServeHTTP answers with what a gateway should not let through, too.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.served.Add(1)
	fail := r.Header.Get("X-Fail")
	if fail == "hang" {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Server", "backend/1.2.3")
	w.Header().Set("X-Powered-By", "Go")
	w.Header().Set("Content-Type", "application/json")
	if status, err := strconv.Atoi(fail); err == nil && status >= 400 && status <= 599 {
		w.WriteHeader(status)
	}
	// The client is gone where writing fails.
	_ = json.NewEncoder(w).Encode(heard{b.service, r.URL.Path, r.Header})
}
