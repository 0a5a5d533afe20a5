package ads

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	rules "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

const loopback = "127.0.0.1:0"

// follower is a client and what it tells.
type follower struct {
	t      *testing.T
	source *descriptors.Source

	mu                sync.Mutex
	connected         bool
	connects          int
	updated, rejected int
	log               bytes.Buffer
}

func (f *follower) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(b)
}

// follow runs a client for the time of the test.
func follow(t *testing.T, addr string, change func(*Options), rules descriptors.Options) *follower {
	t.Helper()
	f := &follower{t: t, source: descriptors.NewSource("", rules)}
	note := func(change func()) {
		f.mu.Lock()
		defer f.mu.Unlock()
		change()
	}
	o := Options{
		Address: addr, Node: "weir", Metadata: map[string]string{"zone": "a"}, MaxBytes: 1 << 20, Keepalive: time.Minute,
		Replace: f.source.Replace, Changed: func(descriptors.Report) {},
		Connected: func(c bool) {
			note(func() {
				if f.connected = c; c {
					f.connects++
				}
			})
		},
		Updated: func() { note(func() { f.updated++ }) }, Rejected: func() { note(func() { f.rejected++ }) },
		Log: slog.New(slog.NewJSONHandler(f, nil)),
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = New(o).Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return f
}

func (f *follower) await(what string, met func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		f.mu.Lock()
		ok := met()
		f.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("within 30 s not true: %s; rules %s; log\n%s", what, f.limits(), f.log.String())
		}
	}
}

func (f *follower) logged(what string) {
	f.t.Helper()
	f.await("the log has "+what, func() bool { return strings.Contains(f.log.String(), what) })
}

// limits are all limits in force, with their requests.
func (f *follower) limits() string {
	var all []string
	if r := f.source.Rules(); r != nil {
		for _, l := range r.Limits() {
			all = append(all, fmt.Sprintf("%s/%s:%d", l.Domain, l.Name, l.Requests))
		}
	}
	return strings.Join(all, " ")
}

func (f *follower) inForce(want string) {
	f.t.Helper()
	f.await(fmt.Sprintf("the limits are %q", want), func() bool { return f.source.Rules() != nil && f.limits() == want })
}

// perMinute are rules of one limit; none of a unit is none that could be.
func perMinute(name, domain string, n uint32) *rules.RateLimitConfig {
	policy := &rules.RateLimitPolicy{Unit: rules.RateLimitUnit_MINUTE, RequestsPerUnit: n}
	if n == 0 {
		policy.Unit = rules.RateLimitUnit_UNKNOWN
	}
	return &rules.RateLimitConfig{Name: name, Domain: domain, Descriptors: []*rules.RateLimitDescriptor{{Key: "user", RateLimit: policy}}}
}

// A control plane that asks who calls gets the headers that it asks for with each stream.
func TestHeaders_AreSentWithEachStream(t *testing.T) {
	plane := partstest.StartControlPlane(t, loopback, "weir", nil)
	plane.Set("1", perMinute("r", "shop", 5))
	f := follow(t, plane.Addr, func(o *Options) {
		o.Headers = map[string]string{"x-tenant": "a", "authorization": "Bearer t"}
		o.Backoff.First = 20 * time.Millisecond
	}, descriptors.Options{})
	f.inForce("shop/user:5")
	check := func() {
		t.Helper()
		h := plane.Headers()
		if strings.Join(h.Get("x-tenant"), ",") != "a" || strings.Join(h.Get("authorization"), ",") != "Bearer t" {
			t.Errorf("the stream was opened with %v", h)
		}
	}
	check()
	plane.Stop()
	plane = partstest.StartControlPlane(t, plane.Addr, "weir", nil)
	plane.Set("2", perMinute("r", "shop", 6))
	f.inForce("shop/user:6")
	check()

	bad := follow(t, plane.Addr, func(o *Options) { o.Headers = map[string]string{"bad name": "x"} }, descriptors.Options{})
	bad.logged("bad name")
}

// mutual are the files of a connection on which both sides show a certificate.
type mutual struct {
	servers, clients *partstest.Authority
	cert, key        string // of the client
	server           *tls.Config
	client           func() (*tls.Config, error)
}

func newMutual(t *testing.T) *mutual {
	dir := t.TempDir()
	m := &mutual{servers: partstest.NewAuthority(t), clients: partstest.NewAuthority(t), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	m.server = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{m.servers.Server("envoy-gateway")},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: m.clients.Pool(), NextProtos: []string{"h2"},
	}
	m.client = func() (*tls.Config, error) {
		pair, err := tls.LoadX509KeyPair(m.cert, m.key)
		return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: m.servers.Pool(), ServerName: "envoy-gateway", Certificates: []tls.Certificate{pair}}, err
	}
	return m
}

func TestRules_ComeOverMutualTLSAndAreAcknowledged(t *testing.T) {
	m := newMutual(t)
	partstest.WritePair(t, m.clients.Client("weir"), m.cert, m.key)
	plane := partstest.StartControlPlane(t, loopback, "weir", m.server)
	plane.Set("one", perMinute("r", "shop", 5))
	f := follow(t, plane.Addr, func(o *Options) { o.TLS = m.client }, descriptors.Options{})
	f.inForce("shop/user:5")
	plane.Answered("one", false)
	first := plane.Requests()[0]
	if n := first.GetNode(); n.GetId() != "weir" || n.GetMetadata().GetFields()["zone"].GetStringValue() != "a" || first.GetTypeUrl() != TypeURL {
		t.Errorf("the first request is %v", first)
	}
	begun := time.Now()
	plane.Set("two", perMinute("r", "shop", 7), perMinute("s", "bank", 3))
	f.inForce("bank/user:3 shop/user:7")
	t.Logf("in force after %v", time.Since(begun))
	plane.Set("three", perMinute("s", "bank", 3))
	f.inForce("bank/user:3")
	plane.Set("four")
	f.inForce("")
	plane.Answered("four", false)
	f.await("the updates are told", func() bool { return f.updated == 4 && f.rejected == 0 && f.connected })
}

// What is wrong is told to who wrote it; what is good is in force; and after a correction
// all is.
func TestRules_AFaultIsRejectedWithItsPlaceAndBlocksNoOtherDomain(t *testing.T) {
	plane := partstest.StartControlPlane(t, loopback, "weir", nil)
	plane.Set("1", perMinute("r", "shop", 5), perMinute("s", "bank", 5))
	f := follow(t, plane.Addr, nil, descriptors.Options{})
	f.inForce("bank/user:5 shop/user:5")
	plane.Set("2", perMinute("r", "shop", 0), perMinute("s", "bank", 6))
	f.inForce("bank/user:6 shop/user:5")
	answer := plane.Answered("1", true)
	want := `resource "r": descriptors[0]("user").rate_limit: error: the rate_limit has no unit: write unit: second, minute, hour, day, week, month or year`
	if got := answer.GetErrorDetail().GetMessage(); got != want {
		t.Errorf("rejected with %q, want %q", got, want)
	}
	// The server sends it again at once, for as long as it has nothing better.
	before := len(plane.Requests())
	time.Sleep(300 * time.Millisecond)
	if more := len(plane.Requests()) - before; more > 1 {
		t.Errorf("%d answers in 300 ms to what was rejected", more)
	}
	f.await("it is counted once", func() bool { return f.rejected == 1 && f.updated == 1 })
	plane.Set("3", perMinute("r", "shop", 8), perMinute("s", "bank", 6))
	f.inForce("bank/user:6 shop/user:8")
	plane.Answered("3", false)
}

func TestRules_AllOrNothingKeepsEverythingWhileThereIsAnError(t *testing.T) {
	plane := partstest.StartControlPlane(t, loopback, "weir", nil)
	plane.Set("1", perMinute("r", "shop", 5), perMinute("s", "bank", 5))
	f := follow(t, plane.Addr, nil, descriptors.Options{AllOrNothing: true})
	f.inForce("bank/user:5 shop/user:5")
	plane.Set("2", perMinute("r", "shop", 0), perMinute("u", "third", 6)) // and bank is gone
	plane.Answered("1", true)
	f.inForce("bank/user:5 shop/user:5")
	plane.Set("3", perMinute("r", "shop", 8), perMinute("u", "third", 6))
	f.inForce("shop/user:8 third/user:6")
	plane.Answered("3", false)
}

func TestRules_StayWhileTheServerIsAwayAndFollowItsNextOne(t *testing.T) {
	m := newMutual(t)
	partstest.WritePair(t, m.clients.Client("weir"), m.cert, m.key)
	plane := partstest.StartControlPlane(t, loopback, "weir", m.server)
	plane.Set("1", perMinute("r", "shop", 5))
	f := follow(t, plane.Addr, func(o *Options) { o.TLS = m.client }, descriptors.Options{})
	f.inForce("shop/user:5")
	plane.Stop()
	f.await("the loss is told", func() bool { return !f.connected && strings.Contains(f.log.String(), "those in force stay") })
	f.inForce("shop/user:5")
	// It comes back with certificates of other authorities, and numbers its versions anew.
	m.clients = partstest.NewAuthority(t)
	m.server.ClientCAs = m.clients.Pool()
	plane = partstest.StartControlPlane(t, plane.Addr, "weir", m.server)
	plane.Set("1", perMinute("r", "shop", 6))
	f.await("the old certificate is refused", func() bool { return strings.Contains(f.log.String(), "certificate") })
	f.inForce("shop/user:5")
	partstest.WritePair(t, m.clients.Client("weir"), m.cert, m.key)
	f.inForce("shop/user:6")
	plane.Stop()
	plane = partstest.StartControlPlane(t, plane.Addr, "weir", m.server)
	plane.Set("1") // the same version, and nothing in it
	f.inForce("")
}

// A response without the name of what is broken in it removes nothing.
func TestRules_ABrokenResourceWithoutANameRemovesNothing(t *testing.T) {
	s := descriptors.NewSource("", descriptors.Options{})
	good := func(name string) *anypb.Any {
		return resourceOf(message(1, name, 2, name, 3, message(1, "k", 3, message(1, 2, 2, 5))))
	}
	step := func(what, want string, faults int, all ...*anypb.Any) {
		t.Helper()
		r := s.Replace(given(all))
		if got := strings.Join(s.Rules().Domains(), " "); got != want || len(r.Faults) != faults {
			t.Errorf("%s: domains %q, want %q; %v", what, got, want, r.Faults)
		}
	}
	step("good", "a b", 0, good("a"), good("b"))
	step("b is broken", "a b", 1, good("a"), resourceOf([]byte{0xff}))
	step("and at another place", "a b", 1, resourceOf([]byte{0xff}), good("a"))
	step("broken behind its name", "a b", 1, good("a"), resourceOf(append(message(1, "b"), 0xff)))
	step("and now without its name", "a b", 2, good("a"), resourceOf([]byte{0xff}))
	step("mended", "a c", 0, good("a"), good("c"))
}

// A server that sends too much is told in the log with the remedy, and asked ever more
// seldom.
func TestRules_AResponseThatIsTooLargeChangesNothing(t *testing.T) {
	plane := partstest.StartControlPlane(t, loopback, "weir", nil)
	plane.Set("1", perMinute("r", "shop", 5))
	f := follow(t, plane.Addr, func(o *Options) { o.MaxBytes = 10_000 }, descriptors.Options{})
	f.inForce("shop/user:5")
	plane.Set("2", perMinute("r", "shop", 6), perMinute("s", strings.Repeat("x", 20_000), 6))
	f.await("the remedy is told", func() bool { return strings.Contains(f.log.String(), "--rules-ads-max-bytes") })
	f.inForce("shop/user:5")
	plane.Set("3", perMinute("r", "shop", 7))
	f.inForce("shop/user:7")
}
