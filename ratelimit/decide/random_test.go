package decide

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	ratelimit "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// random makes rules and requests that meet often.
type random struct{ *rand.Rand }

func (r random) chance(percent int) bool { return r.IntN(100) < percent }

func pick[T any](r random, from []T) T { return from[r.IntN(len(from))] }

var (
	ruleKeys    = []string{"a", "b", "c", "a", "b", "c", "a", "b", "ab*", "*", "a*c", "*_y"}
	ruleValues  = []string{"", "", "x", "y", "xy", "x*", "*y", "*", "x*y*"}
	entryKeys   = []string{"a", "b", "c", "ab", "abc"}
	entryValues = []string{"x", "y", "xy", "xzy", "z", ""}
	modelNames  = []string{"", "", "first", "second", "third"}
	allUnits    = []int32{1, 1, 2, 2, 3, 4, 5, 6, 7}
)

// rules are those of one level and below. metrics lets rules ask for other names in the
// statistics.
func (r random) rules(depth int, metrics bool) (level []*modelRule) {
	taken := map[string]bool{}
	for range 1 + r.IntN(4) {
		rule := &modelRule{key: pick(r, ruleKeys), value: pick(r, ruleValues)}
		if text := joined(rule.key, rule.value); taken[text] {
			continue
		} else {
			taken[text] = true
		}
		if r.chance(80) {
			rule.limit = r.limit()
		}
		if depth > 1 && r.chance(40) {
			rule.children = r.rules(depth-1, metrics)
		}
		if rule.limit != nil {
			rule.shadow, rule.quota = r.chance(15), r.chance(20)
			if r.chance(30) {
				rule.metadata = r.metadata(2)
			}
			rule.detailed = metrics && r.chance(30)
		}
		rule.valueToMetric = metrics && r.chance(20)
		rule.share = metrics && strings.Contains(joined(rule.key, rule.value), "*") && r.chance(50)
		level = append(level, rule)
	}
	return level
}

func (r random) limit() *modelLimit {
	l := &modelLimit{name: pick(r, modelNames), unlimited: r.chance(10)}
	for range 2 {
		if name := pick(r, modelNames); name != "" && name != l.name && r.chance(15) {
			l.replaces = append(l.replaces, name)
		}
	}
	if !l.unlimited {
		l.unit, l.requests = pick(r, allUnits), uint32(r.IntN(6))
		if r.chance(10) {
			l.requests = pick(r, []uint32{10, 16_777_217, math.MaxUint32 - 1, math.MaxUint32})
		}
	}
	return l
}

func (r random) metadata(depth int) map[string]any {
	m := map[string]any{}
	for _, name := range []string{"one", "two"} {
		switch {
		case r.chance(40):
			m[name] = pick(r, []any{fmt.Sprint("text ", r.IntN(10)), 1.5, true, nil, []any{"x", 2.0}})
		case depth > 0 && r.chance(50):
			m[name] = r.metadata(depth - 1)
		}
	}
	return m
}

// entries are those of a way through rules, or of none.
func (r random) entries(level []*modelRule) (entries []modelEntry) {
	for r.chance(93) && len(level) > 0 {
		rule := pick(r, level)
		e := modelEntry{rule.key, rule.value}
		if e.key == "*_y" { // a pattern of keys and values
			e = modelEntry{"*", "y"}
		}
		for strings.Contains(e.key, "*") {
			e.key = strings.Replace(e.key, "*", pick(r, []string{"a", "c", "bc"}), 1)
		}
		for strings.Contains(e.value, "*") {
			e.value = strings.Replace(e.value, "*", pick(r, []string{"", "y", "z"}), 1)
		}
		if e.value == "" {
			e.value = pick(r, entryValues)
		}
		if r.chance(8) {
			e = modelEntry{pick(r, entryKeys), pick(r, entryValues)}
		}
		if entries = append(entries, e); rule.limit != nil && r.chance(60) {
			break
		}
		level = rule.children
	}
	if len(entries) == 0 {
		entries = []modelEntry{{pick(r, entryKeys), pick(r, entryValues)}}
	}
	return entries
}

func (r random) descriptors(root []*modelRule) (all []modelDescriptor) {
	count := 1 + r.IntN(4)
	if r.chance(3) {
		count = 17 + r.IntN(20)
	}
	for range count {
		d := modelDescriptor{entries: r.entries(root)}
		if len(all) > 0 && r.chance(10) {
			d.entries = pick(r, all).entries
		}
		if r.chance(25) {
			hits := pick(r, []uint64{0, 0, 1, 2, 3, 4, 1 << 40, math.MaxInt64, math.MaxUint64})
			d.hits = &hits
		}
		d.negative = r.chance(8)
		if r.chance(10) {
			d.override = &modelLimit{unit: int32(r.IntN(8)), multiplier: pick(r, []int64{0, 0, 0, 1, 2, 5}), requests: uint32(r.IntN(5))}
		}
		all = append(all, d)
	}
	return all
}

// request is what a client sends.
func (r random) request(domain string, all []modelDescriptor, hitsAddend uint32) *rls.RateLimitRequest {
	request := &rls.RateLimitRequest{Domain: domain, HitsAddend: hitsAddend}
	for _, d := range all {
		sent := &ratelimit.RateLimitDescriptor{IsNegativeHits: d.negative}
		for _, e := range d.entries {
			sent.Entries = append(sent.Entries, &ratelimit.RateLimitDescriptor_Entry{Key: e.key, Value: e.value})
		}
		if d.hits != nil {
			sent.HitsAddend = wrapperspb.UInt64(*d.hits)
		}
		if o := d.override; o != nil {
			sent.Limit = &ratelimit.RateLimitDescriptor_RateLimitOverride{RequestsPerUnit: o.requests, Unit: typev3.RateLimitUnit(o.unit)}
			if o.multiplier > 0 || r.chance(10) {
				sent.Limit.UnitMultiplier = wrapperspb.UInt32(uint32(o.multiplier))
			}
		}
		request.Descriptors = append(request.Descriptors, sent)
	}
	return request
}

// yaml is a domain's rule file.
func (r *modelRule) yaml(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%s- key: %q\n", indent, r.key)
	indent += "  "
	if r.value != "" {
		fmt.Fprintf(b, "%svalue: %q\n", indent, r.value)
	}
	for name, on := range map[string]bool{
		"shadow_mode": r.shadow, "quota_mode": r.quota, "share_threshold": r.share, "detailed_metric": r.detailed, "value_to_metric": r.valueToMetric,
	} {
		if on {
			fmt.Fprintf(b, "%s%s: true\n", indent, name)
		}
	}
	if r.metadata != nil {
		fmt.Fprintf(b, "%smetadata: %s\n", indent, flow(r.metadata))
	}
	if l := r.limit; l != nil {
		fmt.Fprintf(b, "%srate_limit:\n", indent)
		if l.unlimited {
			fmt.Fprintf(b, "%s  unlimited: true\n", indent)
		} else {
			fmt.Fprintf(b, "%s  unit: %s\n%s  requests_per_unit: %d\n", indent, modelUnitNames[l.unit], indent, l.requests)
		}
		if l.name != "" {
			fmt.Fprintf(b, "%s  name: %q\n", indent, l.name)
		}
		if len(l.replaces) > 0 {
			fmt.Fprintf(b, "%s  replaces: [{name: %s}]\n", indent, strings.Join(l.replaces, "}, {name: "))
		}
	}
	if len(r.children) > 0 {
		fmt.Fprintf(b, "%sdescriptors:\n", indent)
		for _, child := range r.children {
			child.yaml(b, indent)
		}
	}
}

// flow is metadata in YAML's form in one line.
func flow(m map[string]any) string {
	var parts []string
	for name, v := range m {
		if inner, ok := v.(map[string]any); ok {
			parts = append(parts, fmt.Sprintf("%q: %s", name, flow(inner)))
		} else if text, err := json.Marshal(v); err == nil { // YAML reads JSON
			parts = append(parts, fmt.Sprintf("%q: %s", name, text))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func domainYAML(domain string, root []*modelRule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "domain: %s\ndescriptors:\n", domain)
	for _, r := range root {
		r.yaml(&b, "")
	}
	return b.String()
}
