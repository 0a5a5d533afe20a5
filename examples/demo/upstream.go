package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// upstream is the backend: it limits nothing and counts what reaches it.
type upstream struct {
	server *http.Server
	addr   string
	served atomic.Int64
}

func startUpstream(addr string) (*upstream, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	u := &upstream{addr: listener.Addr().String()}
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: 5 * time.Second}
	// Serve ends with the Close of stop; nothing else makes it end.
	go func() { _ = u.server.Serve(listener) }()
	return u, nil
}

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

// serveUpstream runs the upstream alone until ctx ends, for a container.
func serveUpstream(ctx context.Context, addr string) error {
	u, err := startUpstream(addr)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return u.server.Close()
}
