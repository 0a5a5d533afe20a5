package stage

import (
	"context"
	"net"
	"net/http"
	"time"
)

// UpstreamServer is an [Upstream] that runs.
type UpstreamServer struct {
	Cluster string
	Addr    string // host:port

	server *http.Server
}

func startUpstream(u Upstream, addr string) (*UpstreamServer, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	started := &UpstreamServer{
		Cluster: u.Cluster, Addr: listener.Addr().String(),
		server: &http.Server{Handler: u.Handler, ReadHeaderTimeout: 5 * time.Second},
	}
	// Serve ends with the Close of Stop; nothing else makes it end.
	go func() { _ = started.server.Serve(listener) }()
	return started, nil
}

// Stop ends it as a crash would: its connections are cut off. Once more is no
// error.
func (u *UpstreamServer) Stop() error { return u.server.Close() }

// serve runs an upstream alone until ctx ends, for a container.
func serve(ctx context.Context, u Upstream, addr string) error {
	started, err := startUpstream(u, addr)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return started.Stop()
}
