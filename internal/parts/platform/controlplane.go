package platform

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// ControlPlane sends rules over ADS with go-control-plane's cache and server, as Envoy
// Gateway does.
type ControlPlane struct {
	Addr string // host:port on loopback
	Stop func() // ends it and its connections; once more is no error

	node  string
	cache cache.SnapshotCache

	mu       sync.Mutex
	requests []*discovery.DiscoveryRequest
	headers  metadata.MD
}

// StartControlPlane starts one at an address, of which port 0 is any free port, for the
// node of that ID; secure nil is plain text.
func StartControlPlane(addr, node string, secure *tls.Config) (*ControlPlane, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{Addr: listener.Addr().String(), node: node, cache: cache.NewSnapshotCache(true, cache.IDHash{}, nil)}
	creds := insecure.NewCredentials()
	if secure != nil {
		creds = credentials.NewTLS(secure)
	}
	s := grpc.NewServer(grpc.Creds(creds))
	ctx, cancel := context.WithCancel(context.Background())
	discovery.RegisterAggregatedDiscoveryServiceServer(s, server.NewServer(ctx, c.cache, server.CallbackFuncs{
		StreamOpenFunc: func(ctx context.Context, _ int64, _ string) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.headers, _ = metadata.FromIncomingContext(ctx)
			return nil
		},
		StreamRequestFunc: func(_ int64, r *discovery.DiscoveryRequest) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.requests = append(c.requests, r)
			return nil
		},
	}))
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(listener) })
	c.Stop = sync.OnceFunc(func() {
		cancel()
		s.Stop()
		serving.Wait()
	})
	return c, nil
}

// Set sends these rules from now on, and no others.
func (c *ControlPlane) Set(version string, all ...*rules.RateLimitConfig) error {
	var resources []types.Resource
	for _, r := range all {
		resources = append(resources, r)
	}
	snapshot, err := cache.NewSnapshot(version, map[resource.Type][]types.Resource{resource.RateLimitConfigType: resources})
	if err != nil {
		return err
	}
	return c.cache.SetSnapshot(context.Background(), c.node, snapshot)
}

// Requests are all that it was asked and answered so far.
func (c *ControlPlane) Requests() []*discovery.DiscoveryRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*discovery.DiscoveryRequest(nil), c.requests...)
}

// Headers are those with which the last stream was opened.
func (c *ControlPlane) Headers() metadata.MD {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers
}

// Answer is the last answer to a response, nil if there was none.
func (c *ControlPlane) Answer() *discovery.DiscoveryRequest {
	all := c.Requests()
	if len(all) == 0 || all[len(all)-1].GetResponseNonce() == "" {
		return nil
	}
	return all[len(all)-1]
}
