package stats_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/ratelimit/stats"
)

func listenDogstatsd(t *testing.T) (address string, line func(prefix string) string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var lines []string
	return conn.LocalAddr().String(), func(prefix string) string {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		for packet := make([]byte, 64<<10); ; {
			for len(lines) > 0 {
				line := lines[0]
				if lines = lines[1:]; strings.HasPrefix(line, prefix) {
					return line
				}
			}
			n, _, err := conn.ReadFrom(packet)
			if err != nil {
				t.Fatalf("no line begins with %q: %v", prefix, err)
			}
			lines = strings.Split(strings.TrimSpace(string(packet[:n])), "\n")
		}
	}
}

func TestDogstatsd_SendsTagsAndWhatMogrifiersMakeOfNames(t *testing.T) {
	address, line := listenDogstatsd(t)
	s := newStats(t, stats.Options{
		DogStatsd: true, StatsdAddress: address, FlushInterval: 10 * time.Millisecond,
		ExtraTags: map[string]string{"env": "prod"},
		Mogrifiers: []stats.Mogrifier{
			{Name: "LIMIT", Pattern: `^ratelimit\.service\.rate_limit\.([^.]*)\.(.*)\.([^.]*)$`, Metric: "ratelimit.rate_limit.$3", Tags: map[string]string{"domain": "$1", "descriptor": "$2"}},
			{Name: "ANY", Pattern: `^ratelimit\.service\.(.*)$`, Metric: "service.$1"},
		},
	})
	s.Limit("d", "k_a,b.k2_v2").TotalHits.Add(3)
	s.ConfigLoadSuccess.Add(1)
	call(t, s, shouldRateLimit, time.Millisecond)
	run(t, s)
	want := "ratelimit.rate_limit.total_hits:3|c|#env:prod,descriptor:k_a_b.k2_v2,domain:d"
	if got := line("ratelimit.rate_limit.total_hits"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.Limit("d", "k_a,b.k2_v2").TotalHits.Add(1)
	if got := line("ratelimit.rate_limit.total_hits"); got != strings.Replace(want, ":3|", ":1|", 1) {
		t.Errorf("got %q, want one hit more", got)
	}
	s.ConfigLoadSuccess.Add(1)
	if got := line("service.config_load_success"); got != "service.config_load_success:1|c|#env:prod" {
		t.Errorf("got %q, want the first mogrifier that matches", got)
	}
	call(t, s, shouldRateLimit, time.Millisecond)
	if got := line("ratelimit_server.ShouldRateLimit.response_time:"); !strings.Contains(got, ".") || !strings.HasSuffix(got, "|ms|#env:prod") {
		t.Errorf("the response time is %q, want milliseconds with a fraction", got)
	}
}

func TestDogstatsd_AMogrifierThatIsWrongIsAnErrorThatNamesTheSetting(t *testing.T) {
	for _, c := range []struct {
		m    stats.Mogrifier
		want string
	}{
		{stats.Mogrifier{Name: "X", Metric: "m"}, "DOG_STATSD_MOGRIFIER_X_PATTERN is not set"},
		{stats.Mogrifier{Name: "X", Pattern: "a"}, "DOG_STATSD_MOGRIFIER_X_NAME is not set"},
		{stats.Mogrifier{Name: "X", Pattern: "(", Metric: "m"}, "DOG_STATSD_MOGRIFIER_X_PATTERN: error parsing regexp"},
		{stats.Mogrifier{Name: "X", Pattern: "(a)", Metric: "$2"}, "DOG_STATSD_MOGRIFIER_X_NAME has $2"},
		{stats.Mogrifier{Name: "X", Pattern: "(a)", Metric: "m", Tags: map[string]string{"t": "$9"}}, "DOG_STATSD_MOGRIFIER_X_TAGS has $9"},
		{stats.Mogrifier{Name: "X", Pattern: "(a)", Metric: "m", Tags: map[string]string{"t": ""}}, "DOG_STATSD_MOGRIFIER_X_TAGS has the tag"},
	} {
		_, err := stats.New(stats.Options{DogStatsd: true, StatsdAddress: "127.0.0.1:1", FlushInterval: time.Second, Mogrifiers: []stats.Mogrifier{c.m}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.m, err, c.want)
		}
	}
}
