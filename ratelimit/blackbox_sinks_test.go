package ratelimit_test

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/weir-rls/weir/internal/parts/partstest"
)

// sink keeps the lines that it is sent, over TCP and UDP on one port.
type sink struct {
	port  string
	lines *partstest.Log
}

func newSink(t *testing.T) *sink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close(); packets.Close() })
	s := &sink{lines: &partstest.Log{}}
	_, s.port, _ = net.SplitHostPort(listener.Addr().String())
	keep := func(from string, text []byte) {
		for line := range strings.Lines(string(text)) {
			_, _ = s.lines.Write([]byte(from + " " + strings.TrimSuffix(line, "\n") + "\n"))
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for in := bufio.NewScanner(conn); in.Scan(); {
					keep("tcp", in.Bytes())
				}
			}()
		}
	}()
	go func() {
		for buffer := make([]byte, 1<<16); ; {
			n, _, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			keep("udp", buffer[:n])
		}
	}()
	return s
}

func (s *sink) has(line string) bool {
	return slices.Contains(strings.Split(s.lines.String(), "\n"), line)
}

func TestSettings_Statsd(t *testing.T) {
	for given, want := range map[string]string{
		"USE_STATSD=true":                        "tcp ratelimit.service.rate_limit.d.user.total_hits:1|c",
		"USE_STATSD=true EXTRA_TAGS=foo:bar,a:b": "tcp ratelimit.service.rate_limit.d.user.total_hits.__a=b.__foo=bar:1|c",
		"USE_DOG_STATSD=true EXTRA_TAGS=foo:bar": "udp ratelimit.service.rate_limit.d.user.total_hits:1|c|#foo:bar",
		"USE_DOG_STATSD=true USE_DOG_STATSD_MOGRIFIERS=A DOG_STATSD_MOGRIFIER_A_PATTERN=^.*rate_limit\\.(.*)\\.(.*)\\.(.*)$ DOG_STATSD_MOGRIFIER_A_NAME=rl.$3 DOG_STATSD_MOGRIFIER_A_TAGS=domain:$1,descriptor:$2": "udp rl.total_hits:1|c|#descriptor:user,domain:d",
		"USE_STATSD=true DISABLE_STATS=true": "",
		"USE_STATSD=false":                   "",
	} {
		s := newSink(t)
		r := start(t, environ(tree(t, perMinute), append(strings.Fields(given), "STATSD_HOST=127.0.0.1", "STATSD_PORT="+s.port, "STATS_FLUSH_INTERVAL=30ms")...)...)
		if _, err := r.ask(insecure.NewCredentials()); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			time.Sleep(100 * time.Millisecond)
			if lines := s.lines.String(); lines != "" {
				t.Errorf("%s: it sends %s", given, lines)
			}
			continue
		}
		deadline := time.Now().Add(5 * time.Second)
		for !s.has(want) && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
		}
		if !s.has(want) {
			t.Errorf("%s: not sent: %s; but\n%s", given, want, s.lines)
		}
	}
}

func TestSettings_Prometheus(t *testing.T) {
	mapping := filepath.Join(t.TempDir(), "conf.yaml")
	if err := os.WriteFile(mapping, []byte("mappings:\n- {match: ratelimit.service.rate_limit.*.*.total_hits, name: mine, labels: {where: $1}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for given, c := range map[string]struct{ path, want string }{
		"":                                  {"/metrics", `ratelimit_service_rate_limit_total_hits{domain="d",key1="user"} 1`},
		"PROMETHEUS_PATH=/elsewhere":        {"/elsewhere", `ratelimit_service_rate_limit_total_hits{domain="d",key1="user"} 1`},
		"EXTRA_TAGS=foo:bar":                {"/metrics", `ratelimit_service_rate_limit_total_hits{domain="d",foo="bar",key1="user"} 1`},
		"PROMETHEUS_MAPPER_YAML=" + mapping: {"/metrics", `mine{where="d"} 1`},
	} {
		r := start(t, environ(tree(t, perMinute), append(strings.Fields(given), "USE_PROMETHEUS=true", "PROMETHEUS_ADDR=127.0.0.1:0")...)...)
		if _, err := r.ask(insecure.NewCredentials()); err != nil {
			t.Fatal(err)
		}
		if _, _, text := get(t, http.MethodGet, r.MetricsAddr().String(), c.path, ""); !strings.Contains(text, c.want+"\n") {
			t.Errorf("%s: not there: %s; but\n%s", given, c.want, text)
		}
	}
	r := start(t, environ(tree(t, perMinute), "PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS=true", "USE_PROMETHEUS=true", "PROMETHEUS_ADDR=127.0.0.1:0")...)
	if _, err := r.ask(insecure.NewCredentials()); err != nil {
		t.Fatal(err)
	}
	_, _, text := get(t, http.MethodGet, r.MetricsAddr().String(), "/metrics", "")
	_, sum, _ := strings.Cut(text, `ratelimit_service_response_time_seconds_sum{grpc_method="ShouldRateLimit"} `)
	sum, _, _ = strings.Cut(sum, "\n")
	if took, err := strconv.ParseFloat(sum, 64); err != nil || took < 0.002 { // 2 µs: a call takes longer
		t.Errorf("a call took %q ms", sum)
	}
}
