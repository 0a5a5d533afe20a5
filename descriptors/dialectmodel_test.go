package descriptors

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-rls/weir/buckets/storetest"
)

// refRule is a rule of the reference service's form, and what its documentation says of
// it: no maps, no globs, no keys.
type refRule struct {
	key, value                      string
	limited, unlimited              bool
	amount                          int64
	unit                            Unit
	shared, detailed, valueToMetric bool
	children                        []*refRule
}

var refUnits = []string{Second: "second", Minute: "MINUTE", Hour: "hour", Day: "Day", Week: "week", Month: "month", Year: "year"}

// full is what the * is looked for in, and what statistics call the rule.
func (r *refRule) full() string {
	if r.value == "" {
		return r.key
	}
	return r.key + "_" + r.value
}

func (r *refRule) wild() bool { return strings.Contains(r.full(), "*") }

func (r *refRule) yaml(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%s- key: %q\n", indent, r.key)
	if r.value != "" {
		fmt.Fprintf(b, "%s  value: %q\n", indent, r.value)
	}
	switch {
	case r.unlimited:
		fmt.Fprintf(b, "%s  rate_limit: {unlimited: true}\n", indent)
	case r.limited:
		fmt.Fprintf(b, "%s  rate_limit: {unit: %s, requests_per_unit: %d}\n", indent, refUnits[r.unit], r.amount)
	}
	for field, on := range map[string]bool{"share_threshold": r.shared, "detailed_metric": r.detailed, "value_to_metric": r.valueToMetric} {
		if on {
			fmt.Fprintf(b, "%s  %s: true\n", indent, field)
		}
	}
	if len(r.children) > 0 {
		fmt.Fprintf(b, "%s  descriptors:\n", indent)
		for _, c := range r.children {
			c.yaml(b, indent+"    ")
		}
	}
}

// refChoose is the rule of a level that an entry meets: the exact value, the first
// pattern of the file that key_value as a whole meets, the key alone.
func refChoose(level []*refRule, e Entry) *refRule {
	for _, r := range level {
		if !r.wild() && r.value != "" && r.key == e.Key && r.value == e.Value {
			return r
		}
	}
	for _, r := range level {
		if r.wild() && globByDefinition(r.full(), e.Key+"_"+e.Value) {
			return r
		}
	}
	for _, r := range level {
		if !r.wild() && r.value == "" && r.key == e.Key {
			return r
		}
	}
	return nil
}

// refMeet is the way of entries, all of which must be met; nil if they are not.
func refMeet(level []*refRule, entries []Entry) (way []*refRule) {
	for _, e := range entries {
		r := refChoose(level, e)
		if r == nil {
			return nil
		}
		way, level = append(way, r), r.children
	}
	return way
}

// refBucket tells buckets apart: by entries, with the pattern in place of the value under
// share_threshold, and by the unit.
func refBucket(way []*refRule, entries []Entry, unit string) string {
	id := unit
	for i, e := range entries {
		if way != nil && way[i].shared {
			id += fmt.Sprintf(" %q shares %q", e.Key, way[i].full())
		} else {
			id += fmt.Sprintf(" %q is %q", e.Key, e.Value)
		}
	}
	return id
}

// refName is what the statistics call the limit at the end of a way.
func refName(way []*refRule, entries []Entry) string {
	var parts []string
	shared, detailed := false, way == nil || way[len(way)-1].detailed
	for _, r := range way {
		shared = shared || r.shared
	}
	for i, e := range entries {
		sent := e.Key + "_" + e.Value
		bare := strings.TrimSuffix(sent, "_")
		if e.Value != "" {
			bare = sent
		}
		switch {
		case way == nil, detailed && shared && !way[i].shared:
			parts = append(parts, bare)
		case way[i].shared:
			parts = append(parts, way[i].full())
		case detailed:
			parts = append(parts, sent)
		case way[i].valueToMetric && (way[i].wild() || way[i].value == ""):
			parts = append(parts, bare)
		default:
			parts = append(parts, way[i].full())
		}
	}
	return strings.Join(parts, ".")
}

var (
	refKeys     = []string{"a", "a", "b", "a_b", "b_a", "a*", "*b", "a_*"}
	refValues   = []string{"", "", "a", "b", "b_a", "a_b", "*", "a*", "*b", "*_*", "b*a"}
	refSentKeys = []string{"a", "a", "b", "a_b", "b_a", "ab", "a_", "c", "a*"}
	refSent     = []string{"a", "b", "a_b", "b_a", "ba", "aab", "", "_", "a*", "*", "b_ba", "\x00", "ab,1:a", strings.Repeat("b", 300)}
)

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func refTree(random *rand.Rand, depth int) (level []*refRule) {
	seen := map[Entry]bool{}
	for range 1 + random.IntN(4) {
		r := &refRule{key: pick(random, refKeys), value: pick(random, refValues), amount: random.Int64N(5), unit: Unit(1 + random.IntN(7))}
		if seen[Entry{r.key, r.value}] {
			continue
		}
		seen[Entry{r.key, r.value}] = true
		r.limited = random.IntN(4) > 0
		r.unlimited = r.limited && random.IntN(8) == 0
		r.shared = r.wild() && random.IntN(2) == 0
		r.detailed, r.valueToMetric = random.IntN(5) == 0, random.IntN(5) == 0
		if depth > 1 && random.IntN(2) == 0 {
			r.children = refTree(random, depth-1)
		}
		level = append(level, r)
	}
	return level
}

// sentTo are entries that have a chance to meet a rule of a tree.
func sentTo(random *rand.Rand, level []*refRule) (entries []Entry) {
	for range 1 + random.IntN(3) {
		e := Entry{pick(random, refSentKeys), pick(random, refSent)}
		if len(level) > 0 && random.IntN(4) > 0 {
			r := pick(random, level)
			e.Key = strings.ReplaceAll(r.key, "*", pick(random, []string{"", "b", "_"}))
			if r.value != "" && random.IntN(4) > 0 {
				e.Value = strings.ReplaceAll(r.value, "*", pick(random, refSent))
			}
		}
		entries = append(entries, e)
		if r := refChoose(level, e); r != nil {
			level = r.children
		}
	}
	return entries
}

// In the Reference dialect a request meets the limit that the reference service has for
// it, and two requests share a bucket where they do there: never for the reason that a
// client wrote a pattern, or joined what an entry keeps apart.
func TestReference_ConformanceWithTheModel(t *testing.T) {
	met, shared := 0, 0
	for seed := range uint64(storetest.Share(20_000, 20)) {
		random := rand.New(rand.NewPCG(seed, 9))
		tree := refTree(random, 3)
		var b strings.Builder
		b.WriteString("domain: llm\ndescriptors:\n")
		for _, r := range tree {
			r.yaml(&b, "  ")
		}
		rules := referenceRules(t, b.String())
		keys, buckets := map[string]string{}, map[string]string{}
		for range 12 {
			d := Descriptor{Entries: sentTo(random, tree)}
			way := refMeet(tree, d.Entries)
			want := refRule{}
			if way != nil {
				want = *way[len(way)-1]
			}
			if random.IntN(6) == 0 {
				d.Override = &Override{Requests: uint32(random.IntN(5)), Unit: Unit(1 + random.IntN(7))}
				way, want = nil, refRule{limited: true, amount: int64(d.Override.Requests), unit: d.Override.Unit}
			}
			res := rules.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{d}})
			if len(res.Matches) != 1 || !want.limited {
				if want.limited || len(res.Matches)+len(res.Unmatched) != 1 || len(res.Unmatched) != 1 {
					t.Fatalf("seed %d: %q meets %d limits, want %+v of\n%s", seed, d.Entries, len(res.Matches), want, b.String())
				}
				continue
			}
			l := res.Matches[0].Limit
			if name := refName(way, d.Entries); l.StatName(d.Entries) != name {
				t.Fatalf("seed %d: %q is counted as %q, want %q of\n%s", seed, d.Entries, l.StatName(d.Entries), name, b.String())
			}
			if l.Unlimited != want.unlimited || !l.Reference || !l.Unlimited && (l.Requests != want.amount || l.Unit != want.unit) {
				t.Fatalf("seed %d: %q meets %d per %v, want %+v of\n%s", seed, d.Entries, l.Requests, l.Unit, want, b.String())
			}
			if l.Unlimited {
				continue
			}
			met++
			key, bucket := res.Matches[0].Charge.Key, refBucket(way, d.Entries, refUnits[want.unit])
			if keys[bucket] != "" {
				shared++
			}
			if keys[bucket] != "" && keys[bucket] != key || buckets[key] != "" && buckets[key] != bucket {
				t.Fatalf("seed %d: the bucket %s has the keys %q and %q, which is also that of %s, of\n%s", seed, bucket, keys[bucket], key, buckets[key], b.String())
			}
			keys[bucket], buckets[key] = key, bucket
		}
	}
	if t.Logf("%d requests met a limit, %d a bucket that another had met", met, shared); met < storetest.Share(50_000, 20) || shared < storetest.Share(2000, 20) {
		t.Errorf("%d requests met a limit, %d a bucket that another had met: too few to tell", met, shared)
	}
}
