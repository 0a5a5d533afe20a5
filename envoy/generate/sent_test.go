package generate

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// recorder is a rate limit service that admits everything and keeps what it was asked.
type recorder struct {
	rls.UnimplementedRateLimitServiceServer
	mu   sync.Mutex
	sent []string // descriptors of the last call: key=value, in order
}

func (r *recorder) ShouldRateLimit(_ context.Context, request *rls.RateLimitRequest) (*rls.RateLimitResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = nil
	for _, d := range request.GetDescriptors() {
		var entries []string
		for _, e := range d.GetEntries() {
			entries = append(entries, e.GetKey()+"="+e.GetValue())
		}
		r.sent = append(r.sent, strings.Join(entries, ","))
	}
	return &rls.RateLimitResponse{OverallCode: rls.RateLimitResponse_OK}, nil
}

// record starts Envoy with what is written of a pair, before a recorder. It answers what
// Envoy sends for a request with these lines of headers, and the status.
func record(t *testing.T, p pair, way string) func(target string, headers ...string) (sent []string, status string) {
	t.Helper()
	files, faults := Generate(examine(t, p.rules), p.mapping, options(way))
	if len(faults) > 0 {
		t.Fatal(faults.Text())
	}
	text := files[0].Content
	if way != "complete" {
		text = around(t, way, files)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, server := &recorder{}, grpc.NewServer()
	rls.RegisterRateLimitServiceServer(server, r)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	to := parts.Addresses{Admin: "127.0.0.1:0", Listeners: map[string]string{"front": "127.0.0.1:0"}, Clusters: map[string][]string{
		"weir": {listener.Addr().String()}, "upstream": {strings.TrimPrefix(upstream.URL, "http://")},
	}}
	if text, err = parts.Readdress(text, to); err != nil {
		t.Fatal(err)
	}
	front := partstest.Envoy(t, text).Listener("front")
	return func(target string, headers ...string) ([]string, string) {
		t.Helper()
		r.mu.Lock()
		r.sent = nil
		r.mu.Unlock()
		status := raw(t, front, "GET "+target+" HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n"+strings.Join(append(headers, "\r\n"), "\r\n"))
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.sent, status
	}
}

// raw sends bytes that no HTTP client would, and answers the status.
func raw(t *testing.T, to, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || len(answer) < 12 {
		t.Fatalf("%q: %q, %v", request, answer, err)
	}
	return string(answer[9:12])
}

func TestSent_EachSourceFeedsItsKey(t *testing.T) {
	ask := record(t, pair{"testdata/good/sources/rules.yaml", "testdata/good/sources/mapping.yaml"}, "complete")
	nothing := []string{
		"user=none", "subject=none", "tenant=nobody", "api=none", "item=none", "rest=none", "all=/", "area=web",
		"page=none,size=small,session=none", "remote_address=127.0.0.1", "ip=127.0.0.1", "masked_remote_address=127.0.0.0/24", "score=0", "group=rest", "site=here",
	}
	for _, c := range []struct {
		target  string
		headers []string
		want    []string // instead of what is sent for nothing
	}{
		{"/", nil, nil},
		{"/", []string{"x-user: ann"}, []string{"user=ann"}},
		{"/", []string{"x-user: "}, []string{"user="}},
		{"/", []string{"x-user: \xc3\xa9"}, []string{"user=\xc3\xa9"}},
		{"/", []string{"x-group: vip"}, []string{"group=vip"}},
		{"/", []string{"x-group: other"}, nil},
		{"/", []string{"x-group: \xff"}, nil},
		{"/api", nil, []string{"all=/api", "area=api"}},
		{"/apix", nil, []string{"all=/apix"}},
		{"/api/orders/7?x=1", nil, []string{"all=/api/orders/7", "area=api", "api=orders"}},
		{"//x/../api/./%6frders", nil, []string{"all=/api/orders", "area=api", "api=orders"}},
		{"/api/%ff", nil, []string{"all=/api/%ff", "area=api", "api=%ff"}},
		{"/v1", nil, []string{"all=/v1", "area=api"}},
		{"/v1.0/7/items", nil, []string{"all=/v1.0/7/items", "item=7"}},
		{"/v1.0/7/items/8", nil, []string{"all=/v1.0/7/items/8", "item=7"}},
		{"/v1x0/7/items", nil, []string{"all=/v1x0/7/items"}},
		{"/v1.0/7/itemsx", nil, []string{"all=/v1.0/7/itemsx"}},
		{"/files/a/b", nil, []string{"all=/files/a/b", "rest=a/b"}},
		{"/?page=2&size=9", nil, []string{"page=2,size=9,session=none"}},
		{"/?page=%32", nil, []string{"page=2,size=small,session=none"}},
		{"/", []string{"cookie: a=b; sid=42; c=d"}, []string{"page=none,size=small,session=42"}},
		{"/", []string{"cookie: sid=42"}, []string{"page=none,size=small,session=42"}},
		{"/", []string{"cookie: xsid=42"}, nil},
		{"/", []string{"cookie: a=\xff; sid=42; b=\xff"}, []string{"page=none,size=small,session=42"}},
		{"/", []string{"cookie: sid=\xff"}, nil},
		{"/", []string{"cookie: a=1", "cookie: sid=7"}, []string{"page=none,size=small,session=7"}},
	} {
		want := slices.Clone(nothing)
		for _, w := range c.want {
			key, _, _ := strings.Cut(w, "=")
			want[slices.IndexFunc(want, func(one string) bool { return strings.HasPrefix(one, key+"=") })] = w
		}
		if got, status := ask(c.target, c.headers...); status != "200" || !slices.Equal(got, want) {
			t.Errorf("%s %q: %s\n got %q\nwant %q", c.target, c.headers, status, got, want)
		}
	}
	// What no rate limit service can be told of is refused, and not let through.
	if got, status := ask("/", "x-user: \xff"); status != "500" {
		t.Errorf("a user that is no UTF-8: %s, %q", status, got)
	}
}

// Istio's form sends from the virtual host what the others send from the filter.
func TestSent_EveryFormSendsTheSame(t *testing.T) {
	for name, want := range map[string][]string{
		// A group stands before the user, whose rules it replaces, and not before what it would take away.
		"groups": {"user_group=vip,user=u", "plan=paid", "plan=free", "preset=model_limits,user_group=vip,user=u"},
		"shop":   {"pool=backend,api=none", "user=u"},
	} {
		for _, way := range []string{"parts", "istio", "envoy-gateway"} {
			ask := record(t, pair{"testdata/good/" + name + "/rules.yaml", "testdata/good/" + name + "/mapping.yaml"}, way)
			got, status := ask("/models/gpt?user=u", "x-group: vip", "x-user: u")
			if status != "200" || !slices.Equal(got, want) {
				t.Errorf("%s as %s: %s %q, want %q", name, way, status, got, want)
			}
		}
	}
}
