package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// dropInRules are the limits of the reference service's scripts, by the hour.
var dropInRules = map[string]string{
	"rl.yaml": `domain: rl
descriptors:
  - key: foo
    descriptors:
      - {key: baz, value: not-so-shady, rate_limit: {unit: hour, requests_per_unit: 3}}
      - {key: baz, value: shady, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 3}}
      - {key: bar, value: banned, rate_limit: {name: banned_limit, unit: hour, requests_per_unit: 0}}
      - {key: bar, value: one, rate_limit: {name: one, unit: hour, requests_per_unit: 1}}
  - key: source
    value: proxy
    descriptors:
      - {key: destination, value: override, rate_limit: {unit: hour, requests_per_unit: 2, replaces: [{name: banned_limit}]}}
      - {key: destination, value: two, rate_limit: {unit: hour, requests_per_unit: 2, replaces: [{name: one}]}}
      - {key: destination, value: fake, rate_limit: {name: fake_name, unit: hour, requests_per_unit: 2}}
  - {key: category, value: account, rate_limit: {unit: hour, requests_per_unit: 4, replaces: [{name: one}, {name: fake_name}]}}
  - {key: unspec, detailed_metric: true, rate_limit: {unit: hour, requests_per_unit: 2}}
`,
	"quota.yaml": `domain: quota
descriptors:
  - {key: quota_service, value: service_1, quota_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
  - {key: quota_service, value: service_2, quota_mode: true, rate_limit: {unit: hour, requests_per_unit: 2}}
  - {key: token_service, value: service_2, quota_mode: true, rate_limit: {unit: hour, requests_per_unit: 2}}
  - {key: service, value: service_1, quota_mode: true, metadata: {service: service_1}, rate_limit: {unit: hour, requests_per_unit: 1}}
  - {key: service, value: service_2, quota_mode: true, metadata: {service: service_2}, rate_limit: {unit: hour, requests_per_unit: 2}}
`,
}

// dropIn is a weir in the place of the reference service, with a Redis, behind an Envoy.
type dropIn struct {
	*topology
	t *testing.T
}

func startDropIn(t *testing.T) *dropIn {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range dropInRules {
		if err := os.WriteFile(filepath.Join(dir, "config", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	weir, err := parts.StartRatelimit(parts.Program{Path: weirBinary, Args: []string{"ratelimit"}, Env: []string{
		"REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + partstest.Redis(t, parts.RedisServer).Addr, "RUNTIME_ROOT=" + dir,
		"USE_STATSD=false", "USE_PROMETHEUS=true", "PROMETHEUS_ADDR=127.0.0.1:0", "LOG_LEVEL=info",
		"HOST=127.0.0.1", "PORT=0", "GRPC_HOST=127.0.0.1", "GRPC_PORT=0", "DEBUG_HOST=127.0.0.1", "DEBUG_PORT=0", "WEIR_DRAIN_DELAY=0s",
		"RESPONSE_DYNAMIC_METADATA=true", "LIMIT_RESPONSE_HEADERS_ENABLED=true", "LIMIT_RESET_HEADER=X-Reset",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := weir.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(weir.Output())
		}
	})
	d := &dropIn{&topology{}, t}
	upstream := d.startUpstream(t)
	d.weirs = append(d.weirs, weir)
	d.startEnvoys(t, spec{envoys: 1, envoy: "dropin.yaml"}, upstream)
	return d
}

// answers expects what becomes of requests, in order: a letter o for each that passes, and x
// for each that is refused.
func (d *dropIn) answers(want, path string, h headers) (last answer) {
	d.t.Helper()
	c, got := client(d.t, 1), ""
	for range want {
		last = get(c, d.fronts[0]+path, h)
		got += map[int]string{200: "o", 429: "x"}[last.status]
	}
	if got != want {
		d.t.Errorf("%s %v: %s, want %s; the last one %d %s", path, h, got, want, last.status, last.body)
	}
	return last
}

// counts waits until Prometheus is told a series' value.
func (d *dropIn) counts(series string, n int) {
	d.t.Helper()
	eventually(d.t, fmt.Sprintf("%s is %d", series, n), func() bool {
		return strings.Contains(get(client(d.t, 1), "http://"+d.weirs[0].Metrics+"/metrics", nil).body, fmt.Sprintf("\n%s %d\n", series, n))
	})
}

// inOneHour waits for the next hour if this one is nearly over.
func inOneHour() {
	if now := time.Now(); now.Minute() == 59 && now.Second() >= 50 {
		time.Sleep(time.Until(now.Truncate(time.Hour).Add(time.Hour)))
	}
}

// The stories of the reference service's scripts, which send requests through Envoy: each
// has its name.
func TestDropIn_TheScriptsOfTheReferenceService(t *testing.T) {
	inOneHour()
	d := startDropIn(t)
	for name, story := range map[string]func(*testing.T, *dropIn){
		"simple-get": func(_ *testing.T, d *dropIn) { d.answers("ooooo", "/", nil) },
		"trigger-ratelimit": func(t *testing.T, d *dropIn) {
			last := d.answers("ooox", "/", headers{"foo": "pelle", "baz": "not-so-shady"})
			if got := last.header.Get("X-Ratelimit-Limit"); got != "3, 3;w=3600" || last.header.Get("X-Ratelimit-Remaining") != "0" || last.header.Get("X-Envoy-Ratelimited") != "true" {
				t.Errorf("Envoy's headers are %v", last.header)
			}
			if last.header.Get("RateLimit-Limit") != "3" || last.header.Get("RateLimit-Remaining") != "0" || last.header.Get("X-Reset") != last.header.Get("X-Ratelimit-Reset") {
				t.Errorf("the drop-in's headers are %v", last.header)
			}
		},
		"trigger-shadow-mode-key": func(t *testing.T, d *dropIn) {
			last := d.answers("oooooo", "/", headers{"foo": "pelle", "baz": "shady"})
			if got := last.header.Get("X-Ratelimit-Remaining"); got != "0" {
				t.Errorf("%q remain, want 0", got)
			}
			d.counts(`ratelimit_service_rate_limit_shadow_mode{domain="rl",key1="foo",key2="baz_shady"}`, 3)
		},
		"replaces": replacesStory,
		"value-included-in-stats-key-when-unspecified": func(_ *testing.T, d *dropIn) {
			d.answers("oox", "/", headers{"unspec": "unspecified_value"})
			d.counts(`ratelimit_service_rate_limit_over_limit{domain="rl",key1="unspec_unspecified_value"}`, 1)
		},
		// Of two quotas the larger one decides.
		"quota": func(_ *testing.T, d *dropIn) { d.answers("oox", "/quota", nil) },
		// A look passes while the count is not above the limit: one more than the limit.
		"token-quota": func(_ *testing.T, d *dropIn) {
			for i := range 3 {
				d.answers("o", "/tokenquota", nil)
				d.counts(`ratelimit_service_rate_limit_total_hits{domain="quota",key1="token_service_service_2"}`, i+1)
			}
			d.answers("x", "/tokenquota", nil)
		},
		// The first service that has something left serves, and is charged at the end.
		"multiservice-tokenquota": func(t *testing.T, d *dropIn) {
			used := map[string]int{}
			for i, want := range []string{"service_1", "service_1", "service_2", "service_2", "service_2"} {
				if got := d.answers("o", "/multiservice-tokenquota", nil).header.Get("X-Service"); got != want {
					t.Errorf("request %d goes to %q, want %s", i+1, got, want)
				}
				used[want]++
				d.counts(`ratelimit_service_rate_limit_total_hits{domain="quota",key1="service_`+want+`"}`, used[want])
			}
			d.answers("x", "/multiservice-tokenquota", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := *d
			d.t = t
			story(t, &d)
		})
	}
	for name, stat := range map[string]string{"limits": "", "quota": "quota."} {
		if n, err := d.envoys[0].Stat("cluster.upstream.ratelimit." + stat + "error"); err != nil || n != 0 {
			t.Errorf("Envoy counted %d failures of %s, %v", n, name, err)
		}
	}
	if got := get(client(t, 1), "http://"+d.weirs[0].HTTP+"/healthcheck", nil); got.status != http.StatusOK {
		t.Errorf("/healthcheck: %d", got.status)
	}
}

// replacesStory is that of a limit in place of another one, or of several.
func replacesStory(_ *testing.T, d *dropIn) {
	banned := func(more ...string) headers { return with(headers{"foo": "a", "bar": "banned"}, more...) }
	one := func(foo string, more ...string) headers { return with(headers{"foo": foo, "bar": "one"}, more...) }
	d.answers("x", "/", banned())
	d.answers("x", "/", banned("source", "proxy", "destination", "mock"))
	d.answers("oox", "/", banned("source", "proxy", "destination", "override"))
	// What was replaced has not been charged.
	d.answers("oox", "/", one("b", "source", "proxy", "destination", "two"))
	d.answers("ox", "/", one("b", "source", "proxy", "destination", "other"))
	// One in place of two.
	d.answers("oooox", "/", one("c", "source", "proxy", "destination", "fake", "category", "account"))
	d.answers("ox", "/", one("c"))
	d.answers("oox", "/", headers{"foo": "d", "bar": "d", "source": "proxy", "destination": "fake"})
	d.answers("x", "/", one("e", "source", "proxy", "destination", "fake", "category", "account"))
}

// with are headers and some more, of names and values in turn.
func with(h headers, more ...string) headers {
	for i := 0; i+1 < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return h
}
