package decide

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// request asks with descriptors, each of entries as in "key=value,key=value". What stands
// after a space are its hits.
func request(descriptors ...string) *rls.RateLimitRequest {
	r := &rls.RateLimitRequest{Domain: "d"}
	for _, text := range descriptors {
		d := &ratelimit.RateLimitDescriptor{}
		entries, hits, own := strings.Cut(text, " ")
		if own {
			var n uint64
			_, _ = fmt.Sscan(hits, &n)
			d.HitsAddend = wrapperspb.UInt64(n)
		}
		for _, e := range strings.Split(entries, ",") {
			key, value, _ := strings.Cut(e, "=")
			d.Entries = append(d.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: key, Value: value})
		}
		r.Descriptors = append(r.Descriptors, d)
	}
	return r
}

// ask asks and shows the answer: the code, then code and remaining of each descriptor.
func (w *world) ask(t testing.TB, r *rls.RateLimitRequest) string {
	t.Helper()
	answer, err := wire{w.Service}.ShouldRateLimit(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return shown(answer)
}

func shown(answer *rls.RateLimitResponse) string {
	text := short(answer.OverallCode)
	for i, s := range answer.Statuses {
		if i == 0 {
			text += ":"
		}
		text += fmt.Sprintf(" %s %d", short(s.Code), s.LimitRemaining)
	}
	return text
}

func short(code rls.RateLimitResponse_Code) string {
	return strings.TrimSuffix(code.String(), "_LIMIT")
}

const several = `
domain: d
descriptors:
- {key: none, rate_limit: {unit: minute, requests_per_unit: 0}}
- {key: ten, rate_limit: {unit: minute, requests_per_unit: 10}}
- {key: five, rate_limit: {unit: hour, requests_per_unit: 5}}
- {key: free, rate_limit: {unlimited: true}}
- {key: shadow, shadow_mode: true, rate_limit: {unit: minute, requests_per_unit: 0}}
- {key: quota, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 0}}
- {key: ample, quota_mode: true, rate_limit: {unit: minute, requests_per_unit: 9}}
- {key: both, quota_mode: true, shadow_mode: true, rate_limit: {unit: minute, requests_per_unit: 0}}
- {key: most, rate_limit: {unit: minute, requests_per_unit: 4294967295}}
`

func TestAnswer_OverallCodes(t *testing.T) {
	on := map[string]func(*Settings){
		"": func(*Settings) {}, "shadow": func(s *Settings) { s.ShadowMode = true }, "quota": func(s *Settings) { s.QuotaMode = true },
	}
	for _, c := range []struct{ global, asked, want string }{
		{"", "ten=v five=v", "OK: OK 9 OK 4"},
		{"", "ten=v none=v", "OVER: OK 9 OVER 0"},
		{"", "nothing=v", "OK: OK 0"},
		{"", "free=v", "OK: OK 4294967295"},
		{"", "shadow=v", "OK: OK 0"},
		{"", "quota=v", "OVER: OVER 0"},
		{"", "quota=v ten=v", "OVER: OVER 0 OK 9"},     // a limit that has room is no quota that has
		{"", "quota=v nothing=v", "OVER: OVER 0 OK 0"}, // neither is what meets no rule
		{"", "quota=v ample=v", "OK: OVER 0 OK 8"},     // one quota is enough
		{"", "ample=v none=v", "OVER: OK 8 OVER 0"},    // but not for what is none
		{"", "quota=v free=v", "OVER: OVER 0 OK 4294967295"},
		{"", "quota=v both=v", "OK: OVER 0 OK 0"}, // a quota in shadow mode never is used up
		{"", "none=v both=v", "OVER: OVER 0 OK 0"},
		{"shadow", "none=v ten=v", "OK: OVER 0 OK 9"},
		{"shadow", "quota=v", "OK: OVER 0"},
		{"quota", "none=v ten=v", "OK: OVER 0 OK 9"},
		{"quota", "none=v nothing=v", "OK: OVER 0 OK 0"}, // what meets no rule passes
		{"quota", "none=v free=v", "OVER: OVER 0 OK 4294967295"},
		{"quota", "none=v shadow=v", "OK: OVER 0 OK 0"},
		{"quota", "none=v", "OVER: OVER 0"},
	} {
		w := newWorld(t, several, func(o *Options) { on[c.global](&o.Settings) })
		if got := w.ask(t, request(strings.Fields(c.asked)...)); got != c.want {
			t.Errorf("%s, global %q: %s, want %s", c.asked, c.global, got, c.want)
		}
		if n := w.stats.GlobalShadowMode.Value(); n != 0 != (c.global == "shadow") {
			t.Errorf("%s, global %q: global_shadow_mode is %d", c.asked, c.global, n)
		}
	}
}

func TestAnswer_Headers(t *testing.T) {
	for _, c := range []struct{ asked, want string }{
		{"ten=v", "L 10, M 9, S 58"},
		{"ten=v five=v", "L 5, M 4, S 1378"},
		{"five=v ten=v", "L 5, M 4, S 1378"},
		{"none=v ten=v", "L 0, M 0, S 58"},
		{"none=v five=v,x=y none=w", "L 0, M 0, S 58"},
		{"quota=v ten=v", "L 0, M 0, S 58"},  // the least that is left, whoever it is of
		{"shadow=v ten=v", "L 0, M 0, S 58"}, // likewise
		{"quota=v ten=v none=v", "L 0, M 0, S 58"},
		{"nothing=v", ""},
		{"free=v", ""},
		{"free=v ten=v", "L 10, M 9, S 58"},
	} {
		w := newWorld(t, several, func(o *Options) { o.Settings.Headers = Headers{true, "L", "M", "S"} })
		w.clock.at.Store(2222 * int64(time.Second/time.Microsecond))
		answer, err := wire{w.Service}.ShouldRateLimit(context.Background(), request(strings.Fields(c.asked)...))
		if err != nil {
			t.Fatal(err)
		}
		var headers []string
		for _, h := range answer.ResponseHeadersToAdd {
			headers = append(headers, h.Key+" "+h.Value)
		}
		if got := strings.Join(headers, ", "); got != c.want {
			t.Errorf("%s: %s, want %s", c.asked, got, c.want)
		}
	}
	w := newWorld(t, several, nil)
	if answer, err := (wire{w.Service}).ShouldRateLimit(context.Background(), request("ten=v")); err != nil || answer.ResponseHeadersToAdd != nil || answer.DynamicMetadata != nil {
		t.Errorf("not asked for: %v, %v", answer, err)
	}
}

// The limit that refuses last is told of, whatever is left of quotas and others.
func TestAnswer_HeadersTellOfTheLastThatRefuses(t *testing.T) {
	w := newWorld(t, several, func(o *Options) { o.Settings.Headers = Headers{true, "L", "M", "S"} })
	answer, err := wire{w.Service}.ShouldRateLimit(context.Background(), request("none=v", "ten=v 11", "five=v 6", "quota=v"))
	if err != nil {
		t.Fatal(err)
	}
	if limit := answer.ResponseHeadersToAdd[0].Value; limit != "5" {
		t.Errorf("the headers tell of a limit of %s, want 5", limit)
	}
}

func TestAnswer_Metadata(t *testing.T) {
	w := newWorld(t, `
domain: d
descriptors:
- key: a
  metadata: {name: first, deep: {x: 1, y: {z: yes}}, list: [1, two, null]}
  rate_limit: {unit: minute, requests_per_unit: 10}
- key: b
  metadata: {name: second, deep: {x: 2, w: w, y: {v: 2.5}}, list: [3], more: 1}
  detailed_metric: true
  rate_limit: {unit: minute, requests_per_unit: 10}
- key: c
  metadata: {none: of it}
  rate_limit: {unit: minute, requests_per_unit: 0}
- key: free
  metadata: {none: of it}
  rate_limit: {unlimited: true}
- key: v
  value_to_metric: true
  descriptors:
  - key: w
    metadata: {kept: true}
    rate_limit: {unit: minute, requests_per_unit: 10}
`, func(o *Options) { o.Settings.DynamicMetadata = true })
	overridden := request("b=2")
	overridden.HitsAddend = 5
	overridden.Descriptors[0].Limit = &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: 7, Unit: 2, UnitMultiplier: wrapperspb.UInt32(3)}
	for _, c := range []struct {
		asked *rls.RateLimitRequest
		want  string
	}{
		{request("nothing=v"), `{"domain":"d","descriptors":[{"entries":["nothing=v"]}]}`},
		{request("nothing=v 0"), `{"domain":"d","descriptors":[{"entries":["nothing=v"],"hitsAddend":0}]}`}, // stated, if of nothing
		{&rls.RateLimitRequest{Domain: "d", Descriptors: []*ratelimit.RateLimitDescriptor{{}}}, `{"domain":"d","descriptors":[{"entries":[]}]}`},
		{request("v=1,w=2"), `{"domain":"d","descriptors":[{"entries":["v=1","w=2"]}],"metadata":{"kept":true}}`},
		{request("c=1", "free=2"), `{"domain":"d","descriptors":[{"entries":["c=1"]},{"entries":["free=2"]}]}`},
		{request("a=1", "b=2 3"), `{"domain":"d","descriptors":[{"entries":["a=1"]},{"entries":["b=2"],"hitsAddend":3}],
			"metadata":{"name":"first","deep":{"x":1,"y":{"z":true,"v":2.5},"w":"w"},"list":[1,"two",null],"more":1}}`},
		{request("a=1"), `{"domain":"d","descriptors":[{"entries":["a=1"]}],"metadata":{"name":"first","deep":{"x":1,"y":{"z":true}},"list":[1,"two",null]}}`}, // joining changes no rule
		{overridden, `{"domain":"d","hitsAddend":5,"descriptors":[{"entries":["b=2"],"limit":"requests_per_unit:7 unit:MINUTE unit_multiplier:{value:3}"}]}`},
	} {
		answer, err := wire{w.Service}.ShouldRateLimit(context.Background(), c.asked)
		if err != nil {
			t.Fatal(err)
		}
		want := &rls.RateLimitResponse{}
		if err := protojson.Unmarshal([]byte(`{"dynamicMetadata":`+c.want+`}`), want); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(answer.DynamicMetadata.AsMap()), fmt.Sprint(want.DynamicMetadata.AsMap()); got != want {
			t.Errorf("%v:\n%s, want\n%s", c.asked, got, want)
		}
	}
}

// Weir's own setting counts here as well.
func TestAnswer_UnmatchedIsDeniedWhereTheRulesSaySo(t *testing.T) {
	w := newWorld(t, "domain: d\nunmatched: deny\ndescriptors:\n- {key: ten, rate_limit: {unit: minute, requests_per_unit: 10}}\n", func(o *Options) { o.Settings.QuotaMode = true })
	if got := w.ask(t, request("ten=v", "nothing=v")); got != "OVER: OK 9 OVER 0" {
		t.Error(got)
	}
}
