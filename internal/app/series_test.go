package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/weir-rls/weir/internal/config"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// Nothing that a client sends becomes a series: not a domain, an entry, a limit that comes
// with a descriptor, a method, a page, a line, a secret or a trace.
func TestSeries_AreNotMadeByClients(t *testing.T) {
	c := partstest.NewCollector(t)
	r := start(t, "domain: d\ndescriptors: [{key: user, limits: [{name: per-user, rate: 2/hour}]}]", tracing(t, c.Addr, func(s *config.Settings) {
		s.LineListen, s.TracingSample, s.DecisionLog, s.DecisionLogSample, s.DecisionLogPerSecond = "127.0.0.1:0", 1, config.DecisionLogAll, 1, 100
	}))
	partstest.Eventually(t, patient, "it listens", func() bool { return strings.Contains(r.log.String(), `"line":"`) })
	r.flood(50) // of each kind once, so that what is counted at all has its series
	var before []string
	partstest.Eventually(t, patient, "the series that there are", func() bool {
		was := before
		before = r.series()
		return len(was) == len(before) && slices.Contains(before, `weir_trace_spans_total{result="sent"}`)
	})
	r.flood(1000)
	partstest.Eventually(t, patient, "spans of the flood are sent", func() bool { return r.metric(`weir_trace_spans_total{result="sent"}`) > 2000 })
	if after := r.series(); !slices.Equal(after, before) {
		t.Errorf("%d series after %d:\n%s", len(after), len(before), strings.Join(slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) }), "\n"))
	}
}

// flood sends n random requests of each kind.
func (r *replica) flood(n int) {
	r.t.Helper()
	random := rand.New(rand.NewPCG(uint64(n), 2))
	word := func() string { return fmt.Sprintf("w%x", random.Uint64()) }
	lines, err := net.Dial("tcp", r.lineAddr())
	if err != nil {
		r.t.Fatal(err)
	}
	defer lines.Close()
	for i := range n {
		override := field(3, string(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(random.IntN(1000))))+
			string(protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), uint64(random.IntN(9)))))
		entry := string(field(1, string(field(1, "user"))+string(field(2, word()))))
		for _, message := range [][]byte{
			wire(word(), word(), word()), wire("d", word(), word()), wire("d", "user", word()), wire("d", "user", "u"),
			append(field(1, "d"), field(2, entry+string(override))...), append(field(1, word()), field(2, entry+string(override))...),
			wire("d", "weir.receipt", word()), []byte(word()),
		} {
			ctx := metadata.AppendToOutgoingContext(r.t.Context(), "x-weir-secret", word(), "tracestate", word()+"=1", "traceparent", word())
			_, _ = r.callWith(ctx, message)
		}
		_ = r.conn.Invoke(context.Background(), "/"+word()+"/"+word(), &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
		_ = r.conn.Invoke(context.Background(), "/envoy.service.ratelimit.v3.RateLimitService/"+word(), &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
		if i%10 == 0 {
			r.get("/" + word())
			request, err := http.NewRequestWithContext(r.t.Context(), "M"+strings.ToUpper(word()), "http://"+r.HTTPAddr()+"/metrics?"+word(), nil)
			if err != nil {
				r.t.Fatal(err)
			}
			r.page(request)
			fmt.Fprintf(lines, "%s %s\n", word(), word())
		}
	}
}

// series are those of weir, and of the page itself.
func (r *replica) series() []string {
	r.t.Helper()
	_, page := r.get("/metrics")
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^((?:weir|promhttp)_\S+?(?:\{.*\})?) `).FindAllStringSubmatch(page, -1) {
		names = append(names, found[1])
	}
	slices.Sort(names)
	return names
}
