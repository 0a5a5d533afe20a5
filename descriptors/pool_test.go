package descriptors

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

const threeClasses = `
domain: llm
passive: [tenant]
pools: [{name: units, rate: 10/s, burst: 100}, {name: each, rate: 10/s, burst: 100, split_by: [tenant, client]}]
descriptors:
  - {key: api, value: a, draw: {pool: units}}
  - {key: api, value: b, draw: {pool: units, weight: 2}}
  - {key: api, value: c, draw: {pool: units, weight: 3, guarantee: 2/s, reserve: 6, borrow: false, headroom: 10}}
  - {key: client, draw: {pool: each}}
  - {key: other, draw: {pool: each}}
`

// charge is what one descriptor is charged, which meets one limit.
func charge(t *testing.T, r *Rules, descriptors ...string) buckets.Charge {
	t.Helper()
	m := r.Resolve(request(descriptors...)).Matches
	if len(m) == 0 {
		t.Fatalf("%q meet nothing", descriptors)
	}
	return m[0].Charge
}

func TestC03_ClassesShareAPool(t *testing.T) {
	r := rulesOf(t, threeClasses)
	a, b, c := charge(t, r, "api=a"), charge(t, r, "api=b"), charge(t, r, "api=c")
	if a.Key != b.Key || b.Key != c.Key || a.ClassKey == b.ClassKey || b.ClassKey == c.ClassKey {
		t.Errorf("the keys are %q and %q, %q and %q, %q and %q", a.Key, a.ClassKey, b.Key, b.ClassKey, c.Key, c.ClassKey)
	}
	if a.Cost != 1 || b.Cost != 2 || c.Cost != 3 {
		t.Errorf("the costs are %d, %d, %d", a.Cost, b.Cost, c.Cost)
	}
	pool := a.Bucket.(buckets.TokenBucket)
	if pool.Capacity != 100 || b.Bucket != a.Bucket || c.Bucket != a.Bucket || pool.Debt != pool.Full() {
		t.Errorf("the pool is %+v", pool)
	}
	// 0.6 x 10/s over 3 classes are 2/s for each, which is what c states.
	perSecond := big.NewRat(pool.TicksPerQuantum*1_000_000, pool.TicksPerToken*pool.Quantum)
	for name, class := range map[string]*buckets.Class{"a": a.Class, "b": b.Class, "c": c.Class} {
		g := class.Guarantee.(buckets.TokenBucket)
		if rate := new(big.Rat).Mul(perSecond, big.NewRat(g.TicksPerQuantum, pool.TicksPerQuantum)); rate.Cmp(big.NewRat(2, 1)) != 0 {
			t.Errorf("%s is guaranteed %v/s", name, rate)
		}
		reserve, keep, borrow := int64(10), int64(10+6), true // floor(0.3 x 100 / 3); the others' reserves
		if name == "c" {
			reserve, keep, borrow = 6, 10+10+10, false
		}
		if g.Capacity != reserve || class.Keep != keep*pool.TicksPerToken || class.Borrow != borrow {
			t.Errorf("%s has a reserve of %d, keeps %d, and may borrow: %v", name, g.Capacity, class.Keep/pool.TicksPerToken, class.Borrow)
		}
	}
}

func TestC03_APoolOfOneClassIsAPlainBucket(t *testing.T) {
	r := rulesOf(t, "domain: llm\npools: [{name: p, rate: 10/s, burst: 100}]\ndescriptors: [{key: a, draw: {pool: p, weight: 80}}]")
	if c := charge(t, r, "a=x"); c.Class != nil || c.Hopeless() {
		t.Errorf("charged %+v", c)
	}
	r = rulesOf(t, "domain: llm\npools: [{name: p, rate: 10/s, burst: 100}]\ndescriptors: [{key: a, draw: {pool: p, borrow: false}}]")
	if c := charge(t, r, "a=x"); c.Class == nil {
		t.Error("a class that may not borrow has the whole pool")
	}
}

func TestC03_DrawsOfOneNameAreOneClass(t *testing.T) {
	r := rulesOf(t, `
domain: llm
pools: [{name: p, slots: 20, default_class: others}]
descriptors:
  - {key: a, draw: {pool: p, class: big, reserve: 8}}
  - {key: b, draw: {pool: p, class: big, weight: 4}}
  - {key: c, draw: {pool: p}}
  - {key: d, draw: {pool: p}}
`)
	a, b, c, d := charge(t, r, "a=x"), charge(t, r, "b=x"), charge(t, r, "c=x"), charge(t, r, "d=x")
	if a.ClassKey != b.ClassKey || a.Class != b.Class || c.ClassKey != d.ClassKey || a.ClassKey == c.ClassKey {
		t.Errorf("the class keys are %q, %q, %q, %q", a.ClassKey, b.ClassKey, c.ClassKey, d.ClassKey)
	}
	if a.Class.Guarantee.Size() != 8 || c.Class.Guarantee.Size() != 3 || c.Class.Keep != 8 {
		t.Errorf("big has %+v, the others %+v", a.Class, c.Class)
	}
	for _, m := range r.Resolve(request("b=x", "d=x")).Matches {
		if want := map[int]string{0: "big", 1: "others"}[m.Descriptor]; m.Limit.Name != want {
			t.Errorf("met %q, want %q", m.Limit.Name, want)
		}
	}
}

// The value that splits a pool is that of the whole request, as of a weight; none
// is not the empty one, and a long one does not make a long key.
func TestC03_APoolIsSplitByEntriesOfTheWholeRequest(t *testing.T) {
	r := rulesOf(t, threeClasses)
	seen := map[string]string{}
	for _, descriptors := range []string{
		"client=x", "client=", "client=x tenant=t", "client=x tenant=", "client=x tenant=x", "other=y tenant=t", "other=y",
		"client=x tenant=" + strings.Repeat("t", 1000), "client=" + strings.Repeat("x", 250) + " tenant=" + strings.Repeat("t", 250),
	} {
		c := charge(t, r, descriptors)
		if other, taken := seen[c.Key]; taken || len(c.Key) > maxKey+100 {
			t.Errorf("%q has the key %q, %d bytes, and so has %q", descriptors, c.Key, len(c.Key), other)
		}
		seen[c.Key] = descriptors
	}
	own, beside := charge(t, r, "other=y tenant=t", "z=z client=x"), charge(t, r, "other=y", "z=z tenant=t client=x")
	if own.Key != beside.Key || own.Key != charge(t, r, "client=x tenant=t").Key {
		t.Errorf("one pool has the keys %q and %q", own.Key, beside.Key)
	}
	long := rulesOf(t, `
domain: llm
passive: [a, b, c, d]
pools: [{name: p, rate: 10/s, split_by: [a, b, c, d]}]
descriptors: [{key: k, draw: {pool: p}}]
`)
	value := strings.Repeat("v", maxLiteral)
	for _, last := range []string{"x", "y"} {
		c := charge(t, long, fmt.Sprintf("k=k a=%s b=%[1]s c=%[1]s d=%s", value, last))
		if other, taken := seen[c.Key]; taken || len(c.Key) > 100 {
			t.Errorf("four long values make the key %q, which %q has", c.Key, other)
		}
		seen[c.Key] = last
	}
	if first := charge(t, r, "other=y tenant=t", "tenant=u"); first.Key != charge(t, r, "other=y tenant=t").Key {
		t.Error("an entry of another descriptor outweighs the own one")
	}
}

// A rule's shadow is its own, a pool's is that of all who draw; what several draws
// of a class weigh at most is what its reserve has to hold.
func TestC03_WhatADrawAndItsPoolSay(t *testing.T) {
	r := rulesOf(t, `
domain: llm
pools: [{name: p, rate: 10/s, burst: 100}, {name: quiet, rate: 10/s, shadow_mode: true, on_store_error: deny}]
descriptors:
  - {key: a, shadow_mode: true, draw: {pool: p, class: one, weight: 2}}
  - {key: b, draw: {pool: p, class: one, weight: {by: api, values: {x: 40}, default: 3}}}
  - {key: c, draw: {pool: p}}
  - {key: d, draw: {pool: quiet}}
`)
	for descriptor, want := range map[string]buckets.Role{"a=x": buckets.Shadow, "b=x": buckets.Enforce, "d=x": buckets.Shadow} {
		if c := charge(t, r, descriptor); c.Role != want {
			t.Errorf("%s has the role %d, want %d", descriptor, c.Role, want)
		}
	}
	if c := charge(t, r, "d=x"); c.OnStoreError != buckets.Deny {
		t.Errorf("the store's errors are answered %v", c.OnStoreError)
	}
	if c := charge(t, r, "a=x"); c.Class.Guarantee.Size() != 40 {
		t.Errorf("the reserve is %d, want 40, the heaviest weight", c.Class.Guarantee.Size())
	}
}

// Texts that try to be taken for a part of a key.
func TestKey_NoValueOfADescriptorIsAPool(t *testing.T) {
	d := &domain{name: "d"}
	d.head, d.tag = keyHead("", d.name, false)
	key := func(name string, b buckets.Bucket, values ...string) string {
		spec, req := &poolSpec{name: name, limit: Settings{Bucket: b}}, &Request{Descriptors: []Descriptor{{}}}
		for i, v := range values {
			spec.splitBy = append(spec.splitBy, fmt.Sprint(i))
			req.Descriptors[0].Entries = append(req.Descriptors[0].Entries, Entry{fmt.Sprint(i), v})
		}
		return d.poolKey(newPool(d.name, spec), req, 0)
	}
	long := strings.Repeat("x", maxLiteral)
	hashed := strings.TrimPrefix(key("p", buckets.TokenBucket{}, long, long), "{d}|")
	keys := []string{
		key("p", buckets.TokenBucket{}), key("p", buckets.Slots{}), key("p", buckets.TokenBucket{}, ""), key("p", buckets.TokenBucket{}, "", ""),
		key("p", buckets.TokenBucket{}, "a,=1:b"), key("p", buckets.TokenBucket{}, "a", "b"), key("p,=1:a", buckets.TokenBucket{}),
		key("p", buckets.TokenBucket{}, long, long), key("p", buckets.TokenBucket{}, long, long, ""), key("t1:p", buckets.TokenBucket{}), key("p/n:x", buckets.TokenBucket{}),
		key("p", buckets.TokenBucket{}) + "/n:x", key("p", buckets.TokenBucket{}) + "/p:x",
		keyOf("d", nil, "n:x"), keyOf("d", []Entry{{"|t1:p", ""}}, "n:x"), keyOf("d|", nil, "n:x"), keyOf("d", []Entry{{"", hashed}}, "n:x"),
		keyOf("d", []Entry{{long, long}, {long, long}}, "n:x"), keyOf("d", nil, "|t1:p"),
	}
	slices.Sort(keys)
	if len(slices.Compact(slices.Clone(keys))) != len(keys) {
		t.Errorf("two share one: %q", keys)
	}
	if !strings.HasPrefix(key("p", buckets.TokenBucket{}, long, long), "{d}|") || strings.ContainsAny(hashed, "!,/:") {
		t.Errorf("a long key is %q", hashed)
	}
	for _, k := range keys {
		if !strings.HasPrefix(k, "{d}") && !strings.HasPrefix(k, "{d%7C}") {
			t.Errorf("%q has another tag", k)
		}
	}
}

// A pool's and a class's bucket is nobody else's, whatever names and values hold.
func TestKey_PoolsAndDescriptorsNeverShareOne(t *testing.T) {
	type name struct {
		domain, pool, suffix string
		slots                bool
		split                string // what it is split by, exactly
	}
	anyPool := rapid.Custom(func(t *rapid.T) (drawn struct {
		name
		key string
	},
	) {
		text := anyText()
		n := name{domain: text.Draw(t, "domain"), pool: text.Draw(t, "pool"), slots: rapid.Bool().Draw(t, "slots")}
		spec := &poolSpec{name: n.pool, limit: Settings{Bucket: buckets.TokenBucket{}}}
		if n.slots {
			spec.limit.Bucket = buckets.Slots{}
		}
		req := &Request{Descriptors: []Descriptor{{}}}
		for i := range rapid.IntRange(0, 4).Draw(t, "splits") {
			key := fmt.Sprint(i)
			spec.splitBy = append(spec.splitBy, key)
			if rapid.Bool().Draw(t, "present") {
				value := text.Draw(t, "value")
				req.Descriptors[0].Entries = append(req.Descriptors[0].Entries, Entry{key, value})
				n.split += fmt.Sprintf("%q", value)
			} else {
				n.split += "-"
			}
		}
		d := &domain{name: n.domain}
		d.head, d.tag = keyHead("", n.domain, false)
		drawn.key = d.poolKey(newPool(d.name, spec), req, 0)
		if rapid.Bool().Draw(t, "class") {
			n.suffix = "/n:" + text.Draw(t, "class name")
			drawn.key += n.suffix
		}
		drawn.name = n
		return drawn
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyPool.Draw(t, "a"), anyPool.Draw(t, "b")
		if (a.key == b.key) != (a.name == b.name) {
			t.Fatalf("%+v has the key %q\n%+v has the key %q", a.name, a.key, b.name, b.key)
		}
		if d := anyBucket().Draw(t, "descriptor"); d.key() == a.key {
			t.Fatalf("%+v and %+v share the key %q", a.name, d, a.key)
		}
	})
}

// Whatever classes a pool has, what loads is sound: what is guaranteed together is
// no more than the pool has, and each class's heaviest request can pass.
func TestC03_WhatLoadsIsSound(t *testing.T) {
	loaded := 0
	rapid.Check(t, func(t *rapid.T) {
		content, classes := anyPoolFile(t)
		a := assemble([]*file{parse(newText("test.yaml", []byte(content)))}, Options{})
		if a.faults.Failed() {
			return
		}
		loaded++
		rules := newRules(a.domains)
		var rate, reserves int64
		for _, l := range rules.Limits() {
			checkLimit(t, l)
			if l.Class == nil {
				continue
			}
			if g, ok := l.Class.Guarantee.(buckets.TokenBucket); ok {
				rate += g.TicksPerQuantum
			}
			reserves += l.Class.Guarantee.Full()
		}
		l := rules.Limits()[0]
		if p, ok := l.Bucket.(buckets.TokenBucket); len(rules.Limits()) != classes || ok && rate > p.TicksPerQuantum || reserves > l.Bucket.Full() {
			t.Fatalf("%d limits, guaranteed %d ticks a quantum and %d in all of %+v:\n%s", len(rules.Limits()), rate, reserves, l.Bucket, content)
		}
	})
	if loaded == 0 {
		t.Error("no file loaded")
	}
}

func anyPoolFile(t *rapid.T) (content string, classes int) {
	maybe := func(name string, value func() string) string {
		if !rapid.Bool().Draw(t, name) {
			return ""
		}
		return ", " + name + ": " + value()
	}
	number := func(least, most int) func() string {
		return func() string { return fmt.Sprint(rapid.IntRange(least, most).Draw(t, "number")) }
	}
	per := func() string {
		return number(0, 20)() + "/" + rapid.SampledFrom([]string{"s", "min", "7s", "1500ms"}).Draw(t, "period")
	}
	slots := rapid.Bool().Draw(t, "slots")
	bucket := "rate: " + number(1, 40)() + "/s" + maybe("burst", number(1, 120))
	if slots {
		bucket = "slots: " + number(1, 120)()
	}
	content = "domain: d\npools: [{name: p, " + bucket + "}]\ndescriptors:\n"
	classes = rapid.IntRange(1, 5).Draw(t, "classes")
	for i := range classes {
		content += fmt.Sprintf("  - {key: k%d, draw: {pool: p", i) + maybe("weight", number(1, 30)) + maybe("reserve", number(0, 40)) +
			maybe("headroom", number(0, 30)) + maybe("borrow", func() string { return fmt.Sprint(rapid.Bool().Draw(t, "may")) })
		if !slots {
			content += maybe("guarantee", per)
		}
		content += "}}\n"
	}
	return content, classes
}

// Only weights given, a pool large enough loads whatever its numbers, and what is
// not guaranteed is there to borrow.
func TestC03_DefaultsAreExactParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 40).Draw(t, "classes")
		n := rapid.Int64Range(1, 100_000).Draw(t, "tokens")
		period := rapid.SampledFrom([]string{"s", "min", "hour", "7s", "1500ms"}).Draw(t, "period")
		content := fmt.Sprintf("domain: d\npools: [{name: p, rate: %d/%s, burst: 1000}]\ndescriptors:\n", n, period)
		for i := range k {
			content += fmt.Sprintf("  - {key: k%d, draw: {pool: p, weight: %d}}\n", i, 1+i%3)
		}
		a := assemble([]*file{parse(newText("test.yaml", []byte(content)))}, Options{})
		if a.faults.Failed() {
			t.Fatalf("%s\n%s", content, a.faults.Text())
		}
		for _, l := range newRules(a.domains).Limits() {
			p, g := l.Bucket.(buckets.TokenBucket), l.Class.Guarantee.(buckets.TokenBucket)
			if 5*int64(k)*g.TicksPerQuantum != 3*p.TicksPerQuantum || g.Quantum != p.Quantum || g.TicksPerToken != p.TicksPerToken {
				t.Fatalf("%d classes of %d/%s have %+v of %+v", k, n, period, g, p)
			}
			if want := max(l.Weight.Default, 300/int64(k)); g.Capacity != want {
				t.Fatalf("the reserve is %d, want %d", g.Capacity, want)
			}
		}
	})
}

// A pool is one limit whoever draws from it: its waiters are counted together, and
// a store that runs out of room does not give each draw a pool.
func TestDrawsOfAPoolAreChargesOfOneLimit(t *testing.T) {
	rules := rulesOf(t, `
domain: d
pools: [{name: units, rate: 10/s, burst: 100}, {name: others, rate: 10/s, burst: 100}]
descriptors:
  - {key: a, draw: {pool: units}}
  - {key: b, draw: {pool: units}}
  - {key: c, draw: {pool: others}}
`)
	var limits []string
	for _, key := range []string{"a", "b", "c"} {
		res := rules.Resolve(&Request{Domain: "d", Descriptors: []Descriptor{{Entries: []Entry{{key, "x"}}}}})
		limits = append(limits, res.Matches[0].Charge.Limit)
	}
	if limits[0] != limits[1] || limits[0] == limits[2] {
		t.Errorf("charges of %q, want the first two of one limit", limits)
	}
}
