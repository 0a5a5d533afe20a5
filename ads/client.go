package ads

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weir-rls/weir/descriptors"
)

// Options are where rules come from and what becomes of them.
type Options struct {
	Address   string            // host:port of the control plane
	Node      string            // what weir calls itself
	Metadata  map[string]string // of the node
	Headers   map[string]string // of the request that opens a stream, by their names in lower case
	TLS       func() (*tls.Config, error)
	MaxBytes  int           // of a response
	Bound     string        // the setting of MaxBytes, for messages
	Secured   string        // the setting that gives TLS, for messages
	Keepalive time.Duration // silence after which the server is pinged, 10 s or more
	Backoff   Backoff

	// Replace makes rules live, see [descriptors.Source.Replace], and Changed is told what
	// it found, where that is news.
	Replace func(all []descriptors.Given, whole bool) descriptors.Report
	Changed func(descriptors.Report)

	Connected func(bool) // whether there is a stream to the control plane
	Updated   func()     // a response was accepted
	Rejected  func()     // a response was not, and not the one before again
	Log       *slog.Logger
}

// Client gets rules from a control plane.
type Client struct {
	options Options
	node    *core.Node
	headers metadata.MD

	faults   descriptors.Faults // of the last response
	rejected string             // version of the last response that was rejected
}

// New makes a client. It does nothing before [Client.Run].
func New(o Options) *Client {
	c := &Client{options: o, node: &core.Node{Id: o.Node, Cluster: o.Node, UserAgentName: "weir"}, headers: metadata.New(o.Headers)}
	c.options.Backoff = o.Backoff.whole()
	if len(o.Metadata) > 0 {
		c.node.Metadata = &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for key, value := range o.Metadata {
			c.node.Metadata.Fields[key] = structpb.NewStringValue(value)
		}
	}
	return c
}

const (
	// connectWithin bounds an attempt to connect, which a network that swallows packets
	// would hold for minutes.
	connectWithin = 5 * time.Second
	keepaliveWait = 10 * time.Second // for the answer to a ping
)

// Run gets rules until ctx ends, whose error it returns. After a failure it connects anew,
// at first soon and then ever more seldom; the rules stay as they are meanwhile.
func (c *Client) Run(ctx context.Context) error {
	for failures := 0; ; failures++ {
		came, err := c.connect(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if came == rulesCame {
			failures = 0
		}
		pause := c.options.Backoff.pause(failures, came > nothingCame, rand.Float64())
		fields := []any{"server", c.options.Address, "error", shown(err), "retry_in", pause.Round(time.Millisecond).String()}
		if remedy := c.remedy(err); remedy != "" {
			fields = append(fields, "remedy", remedy)
		}
		c.options.Log.Warn("no rules come from the control plane; those in force stay", fields...)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// reached is how far a connection came.
type reached uint8

const (
	nothingCame reached = iota // nobody could be connected to
	streamCame                 // a stream was opened
	rulesCame                  // and had a response
)

// connect connects and follows the server until one of the two fails.
func (c *Client) connect(ctx context.Context) (came reached, err error) {
	secure := insecure.NewCredentials()
	if c.options.TLS != nil {
		config, err := c.options.TLS() // each time, as the files may have been replaced
		if err != nil {
			return nothingCame, err
		}
		secure = newSecured(config)
	}
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4}}
	conn, err := grpc.NewClient(c.options.Address,
		grpc.WithTransportCredentials(secure),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectWithin}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: c.options.Keepalive, Timeout: keepaliveWait}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(c.options.MaxBytes)),
		grpc.WithMaxHeaderListSize(16<<10),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nothingCame, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(ctx, c.headers))
	defer cancel()
	return c.follow(ctx, conn)
}

// remedy is what to do about an error, empty where the error says so itself. That one side
// speaks TLS and the other does not shows in the texts of libraries alone.
func (c *Client) remedy(err error) string {
	says := func(text string) bool { return strings.Contains(err.Error(), text) }
	switch {
	case status.Code(err) == codes.ResourceExhausted:
		return "raise " + c.options.Bound + ", or send fewer rules"
	case c.options.TLS != nil && says("does not look like a TLS handshake"):
		return "the server speaks plain text: check its address and port, or " + c.options.Secured
	case c.options.TLS == nil && says("reading server preface"):
		return "if the server wants TLS, see " + c.options.Secured
	}
	return ""
}

// shown is an error in a log, of which a server may have written any part.
func shown(err error) string {
	if errors.Is(err, io.EOF) {
		return "the server ended the stream"
	}
	const longest = 500
	if runes := []rune(err.Error()); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return err.Error()
}
