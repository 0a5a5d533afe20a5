package main

import (
	"encoding/json"
	"net/http"
	"os"
	"sync/atomic"
)

// upstream is the backend: it limits nothing and counts what reaches it.
type upstream struct{ served atomic.Int64 }

// ServeHTTP answers every request alike, with the name of the pod.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.served.Add(1)
	w.Header().Set("Content-Type", "application/json")
	// The client is gone where writing fails.
	_ = json.NewEncoder(w).Encode(map[string]string{"pod": podName(), "path": r.URL.Path})
}

func podName() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "upstream"
}
