package ads

import (
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// scripted is a server that does on each stream what a test says, as no sound one would.
type scripted struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	stream func(n int64, s discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error
	n      atomic.Int64
}

func (s *scripted) StreamAggregatedResources(stream discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.stream(s.n.Add(1), stream)
}

func serve(t *testing.T, stream func(int64, discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	if stream != nil {
		discovery.RegisterAggregatedDiscoveryServiceServer(server, &scripted{stream: stream})
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	return listener.Addr().String()
}

func TestStream_AServerThatIsNoneOrSaysNonsenseIsLeftAndAskedAgain(t *testing.T) {
	none := follow(t, serve(t, nil), nil, descriptors.Options{})
	none.await("that it has no ADS is told", func() bool { return strings.Contains(none.log.String(), "Unimplemented") })

	good := resourceOf(message(1, "r", 2, "d", 3, message(1, "user", 3, message(1, 2, 2, 5))))
	f := follow(t, serve(t, func(n int64, s discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
		if _, err := s.Recv(); err != nil {
			return err
		}
		switch n {
		case 1: // an error as long as a client reads
			return status.Error(codes.PermissionDenied, strings.Repeat("x\n", 3000))
		case 2:
			_ = s.Send(&discovery.DiscoveryResponse{TypeUrl: "type.googleapis.com/some.Cluster\n", Resources: []*anypb.Any{good}})
		case 3:
			return nil // without a word
		default:
			_ = s.Send(&discovery.DiscoveryResponse{TypeUrl: TypeURL, VersionInfo: "1", Nonce: "n", Resources: []*anypb.Any{good}})
		}
		<-s.Context().Done()
		return s.Context().Err()
	}), nil, descriptors.Options{})
	f.inForce("d/user:5")
	for _, want := range []string{"PermissionDenied", `type \"type.googleapis.com/some.Cluster\\n\", which were not asked for`, "the server ended the stream"} {
		if log := f.log.String(); !strings.Contains(log, want) {
			t.Errorf("the log lacks %s: %s", want, log)
		}
	}
	for line := range strings.Lines(f.log.String()) {
		if len(line) > 2000 {
			t.Errorf("a line of %d bytes is logged", len(line))
		}
	}
}

// The answer tells which response it is about, and the version that is in force: that of
// the last one without an error on this stream.
func TestStream_AnswersNameTheNonceAndTheVersionInForce(t *testing.T) {
	answers := make(chan *discovery.DiscoveryRequest, 10)
	sound := message(1, "r", 2, "d", 3, message(1, "user", 3, message(1, 2, 2, 5)))
	addr := serve(t, func(_ int64, s discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
		for _, step := range []struct {
			version string
			content []byte
		}{{"1", sound}, {"2", []byte{0xff}}, {"3", sound}} {
			r, err := s.Recv()
			if err != nil {
				return err
			}
			answers <- r
			if err := s.Send(&discovery.DiscoveryResponse{TypeUrl: TypeURL, VersionInfo: step.version, Nonce: "nonce " + step.version, Resources: []*anypb.Any{resourceOf(step.content)}}); err != nil {
				return err
			}
		}
		r, _ := s.Recv()
		answers <- r
		<-s.Context().Done()
		return nil
	})
	follow(t, addr, nil, descriptors.Options{})
	for _, want := range []string{"||", "1|nonce 1|", "1|nonce 2|resource 0: error: cannot be read: it is no message: unexpected EOF", "3|nonce 3|"} {
		select {
		case r := <-answers:
			if got := strings.Join([]string{r.GetVersionInfo(), r.GetResponseNonce(), r.GetErrorDetail().GetMessage()}, "|"); got != want || r.GetTypeUrl() != TypeURL {
				t.Errorf("answered %q, want %q", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no answer, want %q", want)
		}
	}
}

// A server whose connection stands and says nothing any more is left after a ping that it
// does not answer.
func TestStream_ADeadConnectionIsNoticed(t *testing.T) {
	plane := partstest.StartControlPlane(t, loopback, "weir", nil)
	plane.Set("1", perMinute("r", "shop", 5))
	way := partstest.Way(t, plane.Addr)
	f := follow(t, way.Addr, func(o *Options) { o.Keepalive = 10 * time.Second }, descriptors.Options{})
	f.inForce("shop/user:5")
	way.Swallow(true)
	plane.Set("2", perMinute("r", "shop", 6))
	f.await("it is noticed", func() bool { return !f.connected })
	way.Swallow(false)
	f.inForce("shop/user:6")
}

// One side that speaks TLS and one that does not cannot say so to each other: who reads the
// log is told which setting it is.
func TestConnect_TLSOnOneSideAloneIsToldWithTheSetting(t *testing.T) {
	m := newMutual(t)
	partstest.WritePair(t, m.clients.Client("weir"), m.cert, m.key)
	plain, secure := partstest.StartControlPlane(t, loopback, "weir", nil), partstest.StartControlPlane(t, loopback, "weir", m.server)
	asks := follow(t, plain.Addr, func(o *Options) { o.TLS, o.Secured = m.client, "--tls" }, descriptors.Options{})
	asks.logged("the server speaks plain text: check its address and port, or --tls")
	lacks := follow(t, secure.Addr, func(o *Options) { o.Secured = "--tls" }, descriptors.Options{})
	lacks.logged("if the server wants TLS, see --tls")
	wrong := follow(t, secure.Addr, func(o *Options) {
		o.TLS = func() (*tls.Config, error) {
			c, err := m.client()
			c.ServerName = "other"
			return c, err
		}
	}, descriptors.Options{})
	wrong.logged("certificate is valid for envoy-gateway, not other")
}
