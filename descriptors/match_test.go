package descriptors

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/weir-rls/weir/buckets"
)

// rulesOf compiles one file's text, which must have no errors.
func rulesOf(t testing.TB, content string) *Rules {
	t.Helper()
	a := assemble([]*file{parse(newText("test.yaml", []byte(content)))}, Options{})
	if a.faults.Failed() {
		t.Fatalf("the rules have errors:\n%s", a.faults.Text())
	}
	return newRules(a.domains)
}

// entries reads "k=v k=v".
func entries(s string) []Entry {
	var es []Entry
	for _, pair := range strings.Fields(s) {
		key, value, _ := strings.Cut(pair, "=")
		es = append(es, Entry{key, value})
	}
	return es
}

// request asks in the domain "llm", one descriptor for each text.
func request(descriptors ...string) *Request {
	r := &Request{Domain: "llm"}
	for _, s := range descriptors {
		r.Descriptors = append(r.Descriptors, Descriptor{Entries: entries(s)})
	}
	return r
}

// names are the limits that one descriptor meets, joined.
func names(r *Rules, descriptor string) string {
	var found []string
	for _, m := range r.Resolve(request(descriptor)).Matches {
		found = append(found, m.Limit.Name)
	}
	return strings.Join(found, " ")
}

const treeRules = `
domain: llm
passive: [api]
descriptors:
  - {key: group, rate_limit: {unit: second, requests_per_unit: 1, name: any-group}}
  - {key: group, value: "v*p", rate_limit: {unit: second, requests_per_unit: 2, name: v-p}}
  - {key: group, value: "v*", rate_limit: {unit: second, requests_per_unit: 3, name: v}}
  - key: group
    value: vip
    descriptors:
      - {key: model, value: gpt-4, rate_limit: {unit: second, requests_per_unit: 4, name: vip-gpt-4}}
  - key: group
    value: deep
    rate_limit: {unit: second, requests_per_unit: 5, name: deep}
    descriptors:
      - key: model
        limits: [{name: one, rate: 1/s}, {name: two, rate: 2/s}]
  - {key: path, value: "*/v1/*/chat*", rate_limit: {unit: second, requests_per_unit: 1, name: chat}}
  - {key: free, rate_limit: {unlimited: true, name: free}}
  - {key: a, value: b_c, rate_limit: {unit: second, requests_per_unit: 1, name: a-b_c}}
  - {key: a_b, value: c, rate_limit: {unit: second, requests_per_unit: 1, name: a_b-c}}
  - {key: star, value: "*", rate_limit: {unit: second, requests_per_unit: 1, name: star}}
`

func TestMatch_ExactThenPatternsInFileOrderThenTheKeyAlone(t *testing.T) {
	r := rulesOf(t, treeRules)
	for _, c := range []struct{ descriptor, want string }{
		{"group=gold", "any-group"},
		{"group=", "any-group"},
		{"group=vXp", "v-p"},
		{"group=vp", "v-p"},
		{"group=vX", "v"},
		{"group=deep", "deep"},
		{"group=deep model=x", "one two"},
		{"group=vip model=gpt-4", "vip-gpt-4"},
		{"star=", "star"},
		{"path=/api/v1/x/chat", "chat"},
		{"path=/v1//chat/completions", "chat"},
		{"path=/v1/chat", ""},
		{"path=x/v1/y/cha", ""},
		{"a=b_c", "a-b_c"},
		{"a_b=c", "a_b-c"},
		{"free=x", "free"},
		{"unknown=x", ""},
	} {
		if got := names(r, c.descriptor); got != c.want {
			t.Errorf("%q meets %q, want %q", c.descriptor, got, c.want)
		}
	}
}

// The reference's rule, and its users' surprise: what an exact value has won it
// does not give back, and a limit applies to descriptors of just its length.
func TestMatch_ExactDepthAndNoBacktracking(t *testing.T) {
	r := rulesOf(t, treeRules)
	for _, descriptor := range []string{
		"group=vip",                  // the exact node has no limit; v-p, v and any-group do not get a turn
		"group=vip model=other",      // nor below it
		"group=gold model=x",         // longer than any-group
		"group=deep model=x extra=y", // longer
		"model=gpt-4",                // not from the beginning
		"model=gpt-4 group=vip",      // order counts
	} {
		res := r.Resolve(request(descriptor))
		if len(res.Matches) != 0 || !slices.Equal(res.Unmatched, []int{0}) {
			t.Errorf("%q meets %q, unmatched %v; want nothing, and unmatched", descriptor, names(r, descriptor), res.Unmatched)
		}
	}
}

func TestMatch_PassiveEntriesTakeNoPartInMatchingOrKeys(t *testing.T) {
	r := rulesOf(t, treeRules)
	plain := r.Resolve(request("group=deep model=x"))
	for _, descriptor := range []string{"api=a group=deep model=x", "group=deep api=b model=x", "group=deep model=x api=c api=d"} {
		with := r.Resolve(request(descriptor))
		if len(with.Matches) != 2 || with.Matches[0].Charge.Key != plain.Matches[0].Charge.Key || with.Matches[1].Charge.Key != plain.Matches[1].Charge.Key {
			t.Errorf("%q meets other buckets than without its passive entries: %+v", descriptor, with.Matches)
		}
	}
	if res := r.Resolve(request("api=a", "", "group=none model=x")); !slices.Equal(res.Unmatched, []int{1, 2}) {
		t.Errorf("unmatched are %v, want [1 2]: a descriptor of passive entries alone is not, an empty one is", res.Unmatched)
	}
}

func TestMatch_OneBucketForEachValueOfAKeyAloneOrAPattern(t *testing.T) {
	r := rulesOf(t, treeRules)
	seen := map[string]string{}
	for _, descriptor := range []string{"group=x", "group=y", "group=v1", "group=v2", "group=v*", "a=b_c", "a_b=c"} {
		m := r.Resolve(request(descriptor)).Matches
		if len(m) != 1 {
			t.Fatalf("%q meets %d limits", descriptor, len(m))
		}
		if other, taken := seen[m[0].Charge.Key]; taken {
			t.Errorf("%q and %q share the bucket %q", descriptor, other, m[0].Charge.Key)
		}
		seen[m[0].Charge.Key] = descriptor
	}
}

func TestMatch_DomainsAreSeparateAndUnknownOnesKnowNothing(t *testing.T) {
	r := rulesOf(t, "domain: llm\nunmatched: deny\n")
	if res := r.Resolve(&Request{Domain: "other", Descriptors: []Descriptor{{Entries: entries("a=b")}}}); res.KnownDomain || len(res.Unmatched) > 0 || res.DenyUnmatched {
		t.Errorf("an unknown domain answers %+v", res)
	}
	if res := r.Resolve(request("a=b")); !res.KnownDomain || !res.DenyUnmatched || !slices.Equal(res.Unmatched, []int{0}) {
		t.Errorf("a known domain without rules answers %+v", res)
	}
}

func TestMatch_HitsOfTheDescriptorElseOfTheRequestElseOne(t *testing.T) {
	r := rulesOf(t, "domain: llm\ndescriptors: [{key: a, limits: [{rate: 10/s, burst: 100, weight: 3}]}]")
	for _, c := range []struct {
		desc    Descriptor
		request uint64
		cost    int64
		mode    buckets.Mode
	}{
		{Descriptor{}, 0, 3, buckets.Take},
		{Descriptor{}, 5, 15, buckets.Take},
		{Descriptor{HasHits: true, Hits: 2}, 5, 6, buckets.Take},
		{Descriptor{HasHits: true, Hits: 0}, 5, 3, buckets.Look},
		{Descriptor{HasHits: true, Hits: 4, Negative: true}, 5, 12, buckets.Refund},
		{Descriptor{HasHits: true, Hits: 0, Negative: true}, 5, 0, buckets.Refund},
		{Descriptor{Negative: true}, 5, 15, buckets.Refund},
		{Descriptor{Negative: true}, 0, 3, buckets.Refund},
		{Descriptor{HasHits: true, Hits: math.MaxUint64}, 0, math.MaxInt64, buckets.Take},
		{Descriptor{HasHits: true, Hits: math.MaxInt64 / 2}, 0, math.MaxInt64, buckets.Take},
		{Descriptor{}, math.MaxUint64, math.MaxInt64, buckets.Take},
	} {
		c.desc.Entries = entries("a=x")
		m := r.Resolve(&Request{Domain: "llm", Descriptors: []Descriptor{c.desc}, Hits: c.request}).Matches
		if len(m) != 1 || m[0].Charge.Cost != c.cost || m[0].Charge.Mode != c.mode {
			t.Errorf("%+v in a request of %d hits is charged %+v, want cost %d mode %d", c.desc, c.request, m, c.cost, c.mode)
		}
	}
}

func TestMatch_ChargeCarriesWhatTheLimitSays(t *testing.T) {
	r := rulesOf(t, `
domain: llm
defaults: {on_store_error: deny, response: openai}
descriptors:
  - key: a
    shadow_mode: true
    limits:
      - {name: own, rate: 4/4s, burst: 7, on_store_error: error, response: plain}
      - {rate: 10/s}
  - {key: b, limits: [{rate: 10/s, shadow_mode: true}, {name: enforced, rate: 10/s, on_store_error: allow}]}
  - {key: c, rate_limit: {unit: MINUTE, requests_per_unit: 0}}
`)
	var got []string
	for _, m := range r.Resolve(request("a=x", "b=x", "c=x")).Matches {
		l, c := m.Limit, m.Charge
		if c.Bucket != l.Bucket || c.OnStoreError != l.OnStoreError {
			t.Errorf("the charge %+v differs from its limit %+v", c, l)
		}
		got = append(got, fmt.Sprintf("%d %s %d/%v burst %d role %d error %d response %d key %s", m.Descriptor, l.Name, l.Requests, l.Period,
			c.Bucket.Size(), c.Role, c.OnStoreError, slices.Index(formNames, formOf(l.Response)), c.Key))
	}
	want := []string{
		"0 own 4/4s burst 7 role 1 error 3 response 0 key {llm}3:llm,1:a=1:x/n:own",
		"0 a:token_bucket 10/1s burst 10 role 1 error 2 response 1 key {llm}3:llm,1:a=1:x/a:token_bucket",
		"1 b:token_bucket 10/1s burst 10 role 1 error 2 response 1 key {llm}3:llm,1:b=1:x/a:token_bucket",
		"1 enforced 10/1s burst 10 role 0 error 1 response 1 key {llm}3:llm,1:b=1:x/n:enforced",
		"2 c 0/1m0s burst 0 role 0 error 2 response 1 key {llm}3:llm,1:c=1:x/a:token_bucket",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// formOf is the name of a response that is always there.
func formOf(r *Response) string {
	for name, known := range forms {
		if r == known {
			return name
		}
	}
	return ""
}

func TestMatch_UnlimitedIsAMatchWithoutACharge(t *testing.T) {
	res := rulesOf(t, treeRules).Resolve(request("free=x"))
	if len(res.Matches) != 1 || !res.Matches[0].Limit.Unlimited || res.Matches[0].Charge != (buckets.Charge{}) || len(res.Unmatched) != 0 {
		t.Errorf("an unlimited rule answers %+v", res)
	}
}

// Two limits that are one in the bounded set of names would share what a store
// keeps for a limit as a whole.
func TestMatch_EveryLimitHasAnIdentityOfItsOwn(t *testing.T) {
	r := rulesOf(t, `
domain: llm
descriptors:
  - {key: a, rate_limit: {unit: second, requests_per_unit: 1, name: same}}
  - {key: b, rate_limit: {unit: second, requests_per_unit: 2, name: same}}
  - {key: c, limits: [{rate: 3/s, name: same}]}
  - {key: "d=e", rate_limit: {unit: second, requests_per_unit: 4}}
  - {key: d, value: e, rate_limit: {unit: second, requests_per_unit: 5}}
  - {key: f, rate_limit: {unit: second, requests_per_unit: 6, name: override}}
`)
	seen := map[string]bool{}
	over := request("f=x")
	over.Descriptors[0].Override = &Override{Requests: 1, Unit: Second}
	charges := r.Resolve(over).Matches
	tree := request("a=x", "b=x", "c=x", "d=e", "f=x")
	tree.Descriptors = append(tree.Descriptors, Descriptor{Entries: []Entry{{"d=e", "x"}}})
	charges = append(charges, r.Resolve(tree).Matches...)
	for _, m := range charges {
		if seen[m.Charge.Limit] {
			t.Errorf("the identity %q is taken twice", m.Charge.Limit)
		}
		seen[m.Charge.Limit] = true
	}
	if len(charges) != 7 {
		t.Errorf("%d charges, want 7", len(charges))
	}
}

func BenchmarkResolve(b *testing.B) {
	r := rulesOf(b, treeRules)
	req := request("group=deep model=gpt-4", "group=v123", "api=a group=gold")
	b.ReportAllocs()
	for b.Loop() {
		if len(r.Resolve(req).Matches) != 4 {
			b.Fatal("wrong number of matches")
		}
	}
}
