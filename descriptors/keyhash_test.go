package descriptors

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const testSecret = "a secret of a test that is long enough"

// hashOf is what a value becomes in a key, computed in another way.
func hashOf(value string) string {
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(value))
	return hex.EncodeToString(mac.Sum(nil))[:32]
}

// hidden are rules of the domain llm with keyed hashes in their keys, read anew as
// another replica would.
func hidden(t testing.TB, keys, rules string) *Rules {
	t.Helper()
	return newRules(map[string]*domain{"llm": hiddenSource(t, keys, rules).domains["llm"]})
}

func hiddenSource(t testing.TB, keys, rules string) *Source {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, map[string]string{"s": testSecret + "\n", "a.yaml": "domain: llm\nkeys: {hash: hmac-sha256, secret_file: s" + keys + "}\n" + rules})
	s := NewSource(dir, Options{})
	if r := s.Reload(); r.Faults.Failed() {
		t.Fatalf("the rules have errors:\n%s", r.Faults.Text())
	}
	return s
}

// hiddenBucket is what a key names whose values are hashed.
type hiddenBucket struct {
	bucketName
	only   map[string]struct{} // nil: all
	secret string
}

func (b hiddenBucket) key() string {
	d := &domain{name: b.domain, hash: newKeyHash([]byte(b.secret))} // a new one, as on another replica
	d.hash.only = b.only
	d.head, d.tag = keyHead("", b.domain, false)
	way := d.whole(b.entries, nil)
	if i := b.effective(); i > 0 {
		way[i-1].sign = patternStep
	}
	return d.bucketKey(way, b.id)
}

// anyHidden draws buckets whose values also try to be taken for a hash.
func anyHidden(only map[string]struct{}) *rapid.Generator[hiddenBucket] {
	text := rapid.OneOf(anyText(), rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"", "$", "34:$", "32:"}).Draw(t, "mark") + hashOf(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "of"))
	}))
	key := rapid.OneOf(text, rapid.SampledFrom([]string{"user", "plan"}))
	entry := rapid.Custom(func(t *rapid.T) Entry { return Entry{key.Draw(t, "key"), text.Draw(t, "value")} })
	return rapid.Custom(func(t *rapid.T) hiddenBucket {
		return hiddenBucket{bucketName{
			domain: "d", entries: rapid.SliceOfN(entry, 0, 20).Draw(t, "entries"), pattern: rapid.IntRange(0, 2).Draw(t, "pattern"),
			id: limitID(rapid.SampledFrom([]string{"", "x"}).Draw(t, "name"), tokenBucket),
		}, only, testSecret}
	})
}

// The same values have one key on all replicas, and no two buckets share one:
// whatever is hashed, and whatever values are made to look like.
func TestKey_HashedValuesHaveOneBucketEachAndNoneInCommon(t *testing.T) {
	for _, only := range []map[string]struct{}{nil, {"user": {}}} {
		rapid.Check(t, func(t *rapid.T) {
			a, b := anyHidden(only).Draw(t, "a"), anyHidden(only).Draw(t, "b")
			if rapid.Bool().Draw(t, "near") {
				b.entries, b.pattern, b.id = slices.Clone(a.entries), a.pattern, a.id
				if n := len(a.entries); n > 0 {
					value := &b.entries[rapid.IntRange(0, n-1).Draw(t, "which")].Value
					*value = rapid.SampledFrom([]string{*value, *value + "x", "$" + hashOf(*value), hashOf(*value)}).Draw(t, "other")
				}
			}
			if (a.key() == b.key()) != a.equal(b.bucketName) {
				t.Fatalf("%+v has the key %q\n%+v has the key %q", a, a.key(), b, b.key())
			}
		})
	}
}

// Which hash it is: that of the value alone, so that `openssl dgst` tells it.
func TestKey_AHashIsTheHMACOfTheValueAlone(t *testing.T) {
	for _, value := range []string{"", "alice", strings.Repeat("x", 256), strings.Repeat("x", 257), strings.Repeat("y", 10_000), "\x00\xff"} {
		b := hiddenBucket{bucketName{"d", []Entry{{"user", value}}, "n:x", 0}, nil, testSecret}
		if want := "{d}1:d,4:user=$" + hashOf(value) + "/n:x"; b.key() != want {
			t.Errorf("the key of %.20q is\n%s, want\n%s", value, b.key(), want)
		}
		if other := (hiddenBucket{b.bucketName, nil, "another secret"}); other.key() == b.key() {
			t.Errorf("%.20q has one key under two secrets", value)
		}
	}
}

// secretRules put values wherever rules can: "s3" and digits are what nobody may read.
const secretRules = `
passive: [request_id, tenant]
pools: [{name: units, rate: 100/s, split_by: [tenant, api_key, request_id]}]
descriptors:
  - {key: api_key, limits: [{rate: 1/s}, {rate: 9/day}], breaker: {}}
  - {key: api_key, value: s3-stated, limits: [{rate: 1/s}, {rate: 9/day}]}
  - {key: api_key, value: s3-more, descriptors: [{key: user, limits: [{rate: 1/s}]}]}
  - {key: api_key, value: "s3-p*", descriptors: [{key: ip, value_cidr: 10.0.0.0/8, limits: [{rate: 1/s}]}, {key: ip, value_cidr: 11.1.1.1, limits: [{rate: 1/s}]}]}
  - {key: user, value: s3-drawn, draw: {pool: units, guarantee: 1/s}}
  - {key: user, value: s3-other, draw: {pool: units, guarantee: 2/s}}
  - {key: user, value: s3-slow, rate_limit: {unit: minute, requests_per_unit: 5}}
  - key: first
    descriptors: [{first_of: [group, team], value: s3-group, limits: [{algorithm: concurrency, slots: 2, slot_ttl: 1m}]}]
  - {key: "h*", value: s3-header, limits: [{rate: 1/s}]}
`

var secretRequests = []string{
	"api_key=s3-any request_id=r tenant=s3-t", "api_key=s3-stated", "api_key=s3-more user=s3-u", "api_key=s3-p ip=10.2.3.4", "api_key=s3-p ip=11.1.1.1",
	"user=s3-drawn tenant=s3-t request_id=s3-r", "user=s3-other", "user=s3-slow", "first=s3-f team=s3-group", "header=s3-header",
}

// No key, name or identity that leaves the rules tells a value.
func TestKey_NothingThatLeavesTheRulesTellsAHiddenValue(t *testing.T) {
	for _, matching := range []string{"exact", "best"} {
		s := hiddenSource(t, "", "matching: "+matching+secretRules)
		var told []string
		for _, l := range s.Rules().Limits() {
			told = append(told, l.Name, l.ID())
		}
		for _, r := range s.Rules().Pools() {
			told = append(told, fmt.Sprintf("%+v", r))
		}
		asked := request(secretRequests...)
		asked.Descriptors = append(asked.Descriptors, Descriptor{Entries: entries("any=s3-o tenant=s3-t"), Override: &Override{Requests: 1, Unit: Second}})
		found := s.Rules().Resolve(asked)
		if len(found.Unmatched) > 0 || len(found.Matches) < len(asked.Descriptors) {
			t.Fatalf("unmatched: %v", found.Unmatched)
		}
		for _, m := range found.Matches {
			told = append(told, m.Charge.Key, m.Charge.ClassKey, m.Charge.Limit)
		}
		for _, d := range asked.Descriptors {
			told = append(told, strings.ReplaceAll(fmt.Sprint(found.Redaction.Entries(d.Entries)), "{request_id s3-r}", ""))
		}
		for _, text := range told {
			rest := strings.NewReplacer("s3-p*", "", "10.0.0.0/8", "", "algorithms", "").Replace(text)
			if strings.Contains(rest, "s3-") || strings.Contains(rest, "10.") || strings.Contains(rest, "11.1") {
				t.Errorf("%s: %s", matching, text)
			}
		}
	}
}

// Unlike in a hash of all, the values of other entries are read as they are.
func TestKey_OnlyTheEntriesThatAreNamedAreHashed(t *testing.T) {
	r := hidden(t, ", entries: [api_key, group, tenant]", secretRules)
	for descriptor, want := range map[string]string{
		"api_key=s3-more user=s3-u":  "{llm}3:llm,7:api_key=$" + hashOf("s3-more") + ",4:user=4:s3-u/a:token_bucket",
		"first=s3-f team=s3-group":   "{llm}3:llm,5:first=4:s3-f,10:group|team=$" + hashOf("s3-group") + "/a:concurrency",
		"user=s3-drawn tenant=s3-t":  "{llm}3:llm|t5:units,=$" + hashOf("s3-t") + ",-,-",
		"header=s3-header tenant=s3": "{llm}3:llm,6:header~9:s3-header/a:token_bucket",
	} {
		if got := r.Resolve(request(descriptor)).Matches[0].Charge.Key; got != want {
			t.Errorf("%s has the key\n%s, want\n%s", descriptor, got, want)
		}
	}
	shown := r.Resolve(request("")).Redaction.Entries(entries("api_key=a user=b team=c request_id=d"))
	if want := []Entry{{"api_key", "hmac:" + hashOf("a")[:8]}, {"user", "b"}, {"team", "hmac:" + hashOf("c")[:8]}, {"request_id", "d"}}; !slices.Equal(shown, want) {
		t.Errorf("shown are %v, want %v", shown, want)
	}
}

// What was hidden stays the client's to be matched, and keeps its bucket in all
// limits and however an address is written.
func TestKey_HashingChangesNoMatch(t *testing.T) {
	plain, hashed := rulesOf(t, "domain: llm"+secretRules), hidden(t, "", secretRules)
	for _, text := range append(slices.Clone(secretRequests), "api_key=s3-p ip=::ffff:10.2.3.4", "api_key=none ip=1.1.1.1") {
		a, b := plain.Resolve(request(text)), hashed.Resolve(request(text))
		if len(a.Matches) != len(b.Matches) || len(a.Unmatched) != len(b.Unmatched) {
			t.Fatalf("%s meets %d limits, %d hashed", text, len(a.Matches), len(b.Matches))
		}
		for i := range a.Matches {
			if a.Matches[i].Charge.Bucket != b.Matches[i].Charge.Bucket {
				t.Errorf("%s meets another limit", text)
			}
		}
	}
	for _, m := range hashed.Resolve(request("api_key=s3-stated")).Matches { // and each limit of a descriptor has the same
		if !strings.Contains(m.Charge.Key, "$"+hashOf("s3-stated")+"/") {
			t.Errorf("%s has the key %s", m.Limit.Name, m.Charge.Key)
		}
	}
	one, other := request("api_key=s3-p ip=10.2.3.4"), request("api_key=s3-p ip=::ffff:10.2.3.4")
	if a, b := hashed.Resolve(one).Matches[0].Charge.Key, hashed.Resolve(other).Matches[0].Charge.Key; a != b || one.Descriptors[0].Entries[1].Value != "10.2.3.4" {
		t.Errorf("one address has the keys\n%s\n%s", a, b)
	}
}

// A change for one value finds its bucket.
func TestKey_AChangeForAHiddenValueIsForItsBucket(t *testing.T) {
	s := hiddenSource(t, "", "descriptors: [{key: user, limits: [{name: l, rate: 5/s}]}]")
	set(t, s, `{"limit": "l", "for": {"user": "alice"}, "rate": "50/s"}`)
	if a, b := met(s.Rules(), "user=alice"), met(s.Rules(), "user=bob"); a != "50" || b != "5" {
		t.Errorf("alice has %s and bob %s, want 50 and 5", a, b)
	}
}

// BenchmarkResolve_Hash is what hashing adds to a request with three values, in four
// limits.
func BenchmarkResolve_Hash(b *testing.B) {
	const rules = `
descriptors:
  - {key: api_key, limits: [{rate: 100/s}, {rate: 1000/day}]}
  - {key: user, descriptors: [{key: model, limits: [{name: a, rate: 100/s}, {name: b, rate: 1000/min}]}]}
`
	req := request("api_key=sk-0123456789abcdef0123456789abcdef", "user=alice@example.com model=gpt-4")
	for name, r := range map[string]*Rules{"off": rulesOf(b, "domain: llm"+rules), "on": hidden(b, "", rules), "one of three": hidden(b, ", entries: [api_key]", rules)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(r.Resolve(req).Matches) != 4 {
					b.Fatal("wrong number of matches")
				}
			}
		})
	}
}
