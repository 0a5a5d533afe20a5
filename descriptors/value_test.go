package descriptors

import (
	"net"
	"strings"
	"testing"
)

const valueRules = `
domain: llm
descriptors:
  - {key: ip, value: 10.1.2.3, limits: [{rate: 1/s, name: exact}]}
  - {key: ip, value_cidr: 10.0.0.0/8, limits: [{rate: 1/s, name: ten}]}
  - {key: ip, value_cidr: 10.1.0.0/16, limits: [{rate: 1/s, name: ten-one}]}
  - {key: ip, value_cidr: 10.1.2.4, limits: [{rate: 1/s, name: bare}]}
  - {key: ip, value_cidr: "2001:db8::/32", limits: [{rate: 1/s, name: six}]}
  - {key: ip, value_cidr: "2001:db8::1", limits: [{rate: 1/s, name: six-bare}]}
  - {key: ip, value: "10.*", limits: [{rate: 1/s, name: glob}]}
  - {key: ip, value_regex: "1.*", limits: [{rate: 1/s, name: regex}]}
  - {key: ip, limits: [{rate: 1/s, name: any}]}
  - {key: path, value_regex: "/v[0-9]+/chat|/admin", limits: [{rate: 1/s, name: chat}]}
  - {key: path, value_regex: "/file/.*", limits: [{rate: 1/s, name: file}]}
  - {key: path, value_regex: "(?i)/ROOT", limits: [{rate: 1/s, name: root}]}
  - {key: path, value_regex: "/not/[^a]", limits: [{rate: 1/s, name: not-a}]}
  - {key: "x-*", value: "y", limits: [{rate: 1/s, name: header-y}]}
  - {key: "x-a", value: "y*", limits: [{rate: 1/s, name: a-y}]}
  - {key: "x-*", limits: [{rate: 1/s, name: header}]}
  - {key: "x-a", limits: [{rate: 1/s, name: never}]}
`

func TestValues_ExactThenTheLongestNetworkThenPatternsThenTheKeyAlone(t *testing.T) {
	r := rulesOf(t, valueRules)
	for value, want := range map[string]string{
		"10.1.2.3": "exact", "10.1.2.4": "bare", "10.1.2.5": "ten-one", "10.2.0.0": "ten", "::ffff:10.2.0.0": "ten", "::FFFF:a02:0": "ten",
		"2001:db8::1": "six-bare", "2001:DB8:0:0::1": "six-bare", "2001:db8::1%eth0": "six-bare", "2001:db8:ffff::": "six", "2001:db9::": "any",
		"10.1.0.0/16": "ten-one", "10.0.0.0/9": "ten", "10.0.0.0/7": "glob", "::ffff:10.1.2.0/120": "ten-one",
		"10.1.2": "glob", "010.1.2.3": "any", "1x": "regex", "2": "any", "": "any",
	} {
		if got := names(r, "ip="+value); got != want {
			t.Errorf("ip=%s meets %q, want %q", value, got, want)
		}
	}
	for descriptor, want := range map[string]string{
		"x-a=y": "header-y", "x-a=yz": "a-y", "x-b=y": "header-y", "x-b=z": "header", "x-a=z": "header", "y-x-=y": "", "x=y": "",
	} {
		if got := names(r, descriptor); got != want {
			t.Errorf("%s meets %q, want %q", descriptor, got, want)
		}
	}
}

// A client that chooses the value must not leave a rule by bytes that are no
// text, by a line break, or by what stands before and after.
func TestValueRegex_MeetsTheWholeValueWhateverItsBytes(t *testing.T) {
	r := rulesOf(t, valueRules)
	for value, want := range map[string]string{
		"/v1/chat": "chat", "/admin": "chat", "x/admin": "", "/v1/chatx": "", "/admin\n": "", "\n/admin": "", "/v1/chat|/admin": "",
		"/file/": "file", "/file/\n": "file", "/file/a\nb": "file", "/file/\xff": "file", "/file/\xed\xa0\x80": "file", "/file/\x00": "file",
		"/file/" + strings.Repeat("\xfe", 100_000): "file",
		"/root": "root", "/not/b": "not-a", "/not/\xff": "not-a", "/not/\n": "not-a", "/not/a": "",
	} {
		req := &Request{Domain: "llm", Descriptors: []Descriptor{{Entries: []Entry{{"path", value}}}}}
		got := ""
		for _, m := range r.Resolve(req).Matches {
			got += m.Limit.Name
		}
		if got != want {
			t.Errorf("path=%.20q meets %q, want %q", value, got, want)
		}
	}
}

func keyFor(t *testing.T, r *Rules, descriptor string) string {
	t.Helper()
	m := r.Resolve(request(descriptor)).Matches
	if len(m) != 1 {
		t.Fatalf("%s meets %d limits", descriptor, len(m))
	}
	return m[0].Charge.Key
}

// One address that a client writes in another way is no other caller.
func TestValueCIDR_ABucketForEachAddressHoweverItIsWritten(t *testing.T) {
	r := rulesOf(t, valueRules)
	for _, same := range [][]string{
		{"10.2.0.1", "::ffff:10.2.0.1", "::FFFF:0a02:0001", "10.2.0.1/32"},
		{"2001:db8::2", "2001:DB8::2", "2001:0db8:0:0:0:0:0:2", "2001:db8::2%a", "2001:db8::2%b"},
		{"10.2.3.0/24", "10.2.3.4/24", "::ffff:10.2.3.0/120"},
	} {
		for _, other := range same[1:] {
			if a, b := keyFor(t, r, "ip="+same[0]), keyFor(t, r, "ip="+other); a != b {
				t.Errorf("%s has the bucket %q, %s %q", same[0], a, other, b)
			}
		}
	}
	if a, b := keyFor(t, r, "ip=10.2.0.1"), keyFor(t, r, "ip=10.2.0.2"); a == b {
		t.Errorf("two addresses share the bucket %q", a)
	}
}

// After a reload another kind of rule may serve an entry that one before it
// served. Their limits are not the same, so neither are their buckets.
func TestKey_APatternsBucketIsNeverThatOfARuleThatStatesTheValue(t *testing.T) {
	one := rulesOf(t, "domain: llm\ndescriptors: [{key: ip, value: 10.0.0.1, limits: [{rate: 1/s}]}]")
	alone := rulesOf(t, "domain: llm\ndescriptors: [{key: ip, limits: [{rate: 1/s}]}]")
	for _, pattern := range []string{`value: "10.*"`, "value_cidr: 10.0.0.0/8", "value_regex: 10.*"} {
		r := rulesOf(t, "domain: llm\ndescriptors: [{key: ip, "+pattern+", limits: [{rate: 1/s}]}]")
		for _, other := range []*Rules{one, alone} {
			if key := keyFor(t, r, "ip=10.0.0.1"); key == keyFor(t, other, "ip=10.0.0.1") {
				t.Errorf("a rule of %s and one without a pattern share the bucket %q", pattern, key)
			}
		}
	}
	star := rulesOf(t, "domain: llm\ndescriptors: [{key: 'i*', limits: [{rate: 1/s}]}]")
	if key := keyFor(t, star, "ip=10.0.0.1"); key == keyFor(t, alone, "ip=10.0.0.1") {
		t.Errorf("a key with a star and one without share the bucket %q", key)
	}
}

const bestRules = `
domain: llm
matching: best
passive: [p]
descriptors:
  - {key: group, limits: [{rate: 1/s, name: group}]}
  - key: group
    value: vip
    descriptors:
      - {key: model, value: gpt-4, limits: [{rate: 1/s, name: vip-gpt-4}]}
  - key: group
    value: "v*"
    descriptors:
      - {key: model, limits: [{rate: 1/s, name: v-model}]}
      - {key: model, value: gpt-4, descriptors: [{key: region, limits: [{rate: 1/s, name: v-region}]}]}
`

func TestBest_TheDeepestRuleWinsAndItsBucketIsOfWhatItConsumed(t *testing.T) {
	r := rulesOf(t, bestRules)
	for _, c := range []struct{ descriptor, want, same string }{
		{"group=x", "group", "group=x"},
		{"group=vip", "group", "group=vip"}, // back from vip and v*, which have no limit
		{"group=vip model=gpt-4", "vip-gpt-4", "group=vip model=gpt-4"},
		{"group=vip model=other", "v-model", "group=vip model=other"},
		{"group=vip model=gpt-4 region=eu", "v-region", "group=vip model=gpt-4 region=eu"},
		{"group=vip p=1 model=gpt-4 extra=1", "vip-gpt-4", "group=vip model=gpt-4"},
		{"group=x model=y region=z", "group", "group=x"},
		{"model=gpt-4", "", ""},
		{"model=gpt-4 group=vip", "", ""},
	} {
		if got := names(r, c.descriptor); got != c.want {
			t.Errorf("%s meets %q, want %q", c.descriptor, got, c.want)
		} else if got != "" && keyFor(t, r, c.descriptor) != keyFor(t, r, c.same) {
			t.Errorf("%s has the bucket %q, want %q", c.descriptor, keyFor(t, r, c.descriptor), keyFor(t, r, c.same))
		}
	}
}

func TestBest_WarnsOfNoSurprise(t *testing.T) {
	rules := "domain: llm\ndescriptors: [{key: a, limits: [{rate: 1/s}]}, {key: a, value: b, descriptors: [{key: c, limits: [{rate: 1/s}]}]}]\n"
	for prefix, want := range map[string]int{"": 1, "matching: exact\n": 1, "matching: best\n": 0} {
		a := assemble([]*file{parse(newText("test.yaml", []byte(prefix+rules)))}, Options{})
		if len(a.faults) != want {
			t.Errorf("%q: %d warnings, want %d:\n%s", prefix, len(a.faults), want, a.faults.Text())
		}
	}
}

// What net/netip reads net reads as the same network, and the text it is given
// in a key is read again as the same.
func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "::ffff:10.0.0.1", "10.1.2.3/8", "fe80::1%eth0", "::/0", "::ffff:0:0/96", "1.2.3.4/033"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := parseNetwork(s)
		if !ok {
			return
		}
		text := networkText(p)
		if again, ok := parseNetwork(text); !ok || again != p.Masked() || networkText(again) != text {
			t.Fatalf("%q is written %q, which is read as %v", s, text, again)
		}
		plain, _, _ := strings.Cut(s, "%")
		if ip := net.ParseIP(plain); ip != nil && !ip.Equal(p.Addr().AsSlice()) {
			t.Fatalf("%q is read as %v and as %v", s, p, ip)
		}
		if _, n, err := net.ParseCIDR(plain); err == nil {
			if ones, bits := n.Mask.Size(); bits != p.Addr().BitLen() || ones != p.Bits() {
				if bits != 128 || p.Addr().BitLen() != 32 || ones-96 != p.Bits() {
					t.Fatalf("%q is read as %v and as %v", s, p, n)
				}
			}
		}
	})
}

func BenchmarkResolve_Best(b *testing.B) {
	r := rulesOf(b, bestRules)
	req := request("group=vip model=gpt-4 region=eu", "group=x model=y", "p=1 group=vip")
	b.ReportAllocs()
	for b.Loop() {
		if len(r.Resolve(req).Matches) != 3 {
			b.Fatal("wrong number of matches")
		}
	}
}

// The most that one byte of a value can cost at the bounds of a value_regex.
func BenchmarkValueRegex_TheWorst(b *testing.B) {
	r := rulesOf(b, "domain: llm\ndescriptors: [{key: k, value_regex: '(?:x*[xz]*){240}y', limits: [{rate: 1/s}]}]")
	req := request("k=" + strings.Repeat("x", 4096))
	for b.Loop() {
		r.Resolve(req)
	}
}
