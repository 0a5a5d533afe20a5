package e2e

import (
	"cmp"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// gatewayCase is one of testdata/envoy-gateway.yaml.
type gatewayCase struct {
	Name                  string
	Limits, Shared, Rules []any
	Requests              []struct {
		Send, Pass         int
		Method, Path, From string
		Headers            headers
	}
}

func gatewayCases(t *testing.T) (all []gatewayCase) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(string(read(t, "testdata/envoy-gateway.yaml"))))
	decoder.KnownFields(true)
	if err := decoder.Decode(&all); err != nil || len(all) < 18 {
		t.Fatal(len(all), err)
	}
	return all
}

type fields = map[string]any

// route is what Envoy Gateway calls the route of a case.
func (c gatewayCase) route() string { return "httproute/e2e/" + c.Name + "/rule/0/match/0/*" }

// routed is the case's route of Envoy's, whose limits begin with its name.
func (c gatewayCase) routed() fields {
	const kind = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute"
	own := fields{"generic_key": fields{"descriptor_key": c.route(), "descriptor_value": c.route()}}
	for _, limit := range c.Limits {
		l := limit.(fields)
		l["actions"] = append([]any{own}, l["actions"].([]any)...)
	}
	filters := fields{}
	for filter, limits := range map[string][]any{"envoy.filters.http.ratelimit": c.Limits, "envoy.filters.http.ratelimit/default/shop": c.Shared} {
		if len(limits) > 0 {
			filters[filter] = fields{"@type": kind, "rate_limits": limits}
		}
	}
	return fields{"name": c.route(), "match": fields{"path_separated_prefix": "/" + c.Name}, "route": fields{"cluster": "httproute/default/shop/rule/0"}, "typed_per_filter_config": filters}
}

// gatewayRules are what Envoy Gateway sends for all cases, for two listeners and a policy
// that two routes share.
func gatewayRules(t *testing.T, cases []gatewayCase) string {
	t.Helper()
	var routes []any
	for _, c := range cases {
		if len(c.Rules) > 0 {
			routes = append(routes, fields{"key": c.route(), "value": c.route(), "descriptors": c.Rules})
		}
	}
	var text strings.Builder
	for _, domain := range []fields{
		{"name": "default/eg/http", "domain": "default/eg/http", "descriptors": routes},
		{"name": "default/eg/second", "domain": "default/eg/second", "descriptors": routes},
		{"name": "default/shop", "domain": "default/shop", "descriptors": []any{fields{"key": "e2e/policy/rule/0", "value": "e2e/policy/rule/0", "descriptors": []any{
			fields{"key": "rule-0-match-0", "rate_limit": fields{"unit": "HOUR", "requests_per_unit": 3}},
		}}}},
	} {
		part, err := yaml.Marshal(domain)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("---\n" + string(part))
	}
	return text.String()
}

// gatewayEnvoy starts the Envoy of examples/envoy-gateway with the routes of the cases, and
// once more behind a second listener, which tells its clients nothing of their limits.
func gatewayEnvoy(t *testing.T, d *deployed, cases []gatewayCase) *parts.EnvoyProcess {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	var routes []any
	for _, c := range cases {
		routes = append(routes, c.routed())
	}
	text := strings.ReplaceAll(string(read(t, "../examples/envoy-gateway/envoy.yaml")), "/certs/", filepath.Join(d.root, "certs")+"/")
	var listeners []any
	var root fields
	for _, name := range []string{"front", "second"} {
		if name == "second" {
			text = strings.NewReplacer("domain: default/eg/http", "domain: default/eg/second", "DRAFT_VERSION_03", "OFF").Replace(text)
		}
		root = nil
		if err := yaml.Unmarshal([]byte(text), &root); err != nil {
			t.Fatal(err)
		}
		listener := root["static_resources"].(fields)["listeners"].([]any)[0].(fields)
		listener["name"] = name
		manager := listener["filter_chains"].([]any)[0].(fields)["filters"].([]any)[0].(fields)["typed_config"].(fields)
		manager["route_config"].(fields)["virtual_hosts"].([]any)[0].(fields)["routes"] = routes
		listeners = append(listeners, listener)
	}
	root["static_resources"].(fields)["listeners"] = listeners
	bootstrap, err := yaml.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err = parts.Readdress(bootstrap, parts.Addresses{
		Admin: "127.0.0.1:0", Listeners: map[string]string{"front": "127.0.0.1:0", "second": "127.0.0.1:0"},
		Clusters: map[string][]string{"ratelimit_cluster": {d.weir.GRPC}, "httproute/default/shop/rule/0": {strings.TrimPrefix(upstream.URL, "http://")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return partstest.Envoy(t, bootstrap)
}

// The rules and requests of Envoy Gateway's own end-to-end tests, as it writes them for Envoy
// and sends them to its rate limit service, through a real Envoy with certificates.
func TestEnvoyGateway_ItsOwnCasesPass(t *testing.T) {
	d, cases := deploy(t, "envoy-gateway"), gatewayCases(t)
	d.send("1", gatewayRules(t, cases))
	envoy := gatewayEnvoy(t, d, cases)
	for _, c := range cases {
		for i, r := range c.Requests {
			got, last := tally{}, http.Header{}
			for range r.Send {
				status, header := sendFrom(t, cmp.Or(r.From, "127.0.0.1"), cmp.Or(r.Method, "GET"), "http://"+envoy.Listener("front")+"/"+c.Name+r.Path, r.Headers)
				got[status]++
				last = header
			}
			if got[200] != r.Pass || got[429] != r.Send-r.Pass {
				t.Errorf("%s, request %d: %v, want %d of %d to pass", c.Name, i+1, got, r.Pass, r.Send)
			}
			if want := map[string]string{"cidr": "3, 3;w=3600", "month": "3, 3;w=2592000"}[c.Name]; want != "" && last.Get("X-Ratelimit-Limit") != want {
				t.Errorf("%s: X-Ratelimit-Limit is %q, want %q", c.Name, last.Get("X-Ratelimit-Limit"), want)
			}
		}
	}
	// Each listener counts for itself.
	for i := range 5 {
		status, header := sendFrom(t, "127.0.0.1", "GET", "http://"+envoy.Listener("second")+"/everybody", nil)
		if (status == 200) != (i < 3) || header.Get("X-Ratelimit-Limit") != "" {
			t.Errorf("request %d of the second listener: %d %v", i+1, status, header)
		}
	}
	series := func(name, of, key string) string {
		return `ratelimit_service_rate_limit_` + name + `{domain="default/eg/http",key1="` + of + `_` + of + `",key2="` + key + `"}`
	}
	for name, want := range map[string]int{
		series("over_limit", gatewayCase{Name: "cidr"}.route(), "masked_remote_address_0_0_0_0/0"):                    2,
		series("over_limit", gatewayCase{Name: "cost"}.route(), "rule-0-match-0"):                                     3,
		series("shadow_mode", gatewayCase{Name: "shadow"}.route(), "rule-0-match--1_rule-0-match--1"):                 3,
		series("over_limit", gatewayCase{Name: "everybody"}.route(), "rule-0-match--1_rule-0-match--1"):               2,
		series("over_limit", gatewayCase{Name: "jwt-claim"}.route(), "rule-0-match-0_rule-0-match-0"):                 2,
		series("over_limit", gatewayCase{Name: "cidr-inverted"}.route(), "masked_remote_address_invert_127_0_0_0/24"): 2,
	} {
		if got := metricOf(t, d.weir, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

// sendFrom sends a request from an address of this machine's, on a connection of its own.
func sendFrom(t *testing.T, from, method, url string, h headers) (status int, header http.Header) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range h {
		request.Header.Set(name, value)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header
}
