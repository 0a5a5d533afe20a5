package descriptors

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// keyOf is the key of a bucket in a domain, of entries that met no pattern.
func keyOf(name string, es []Entry, id string) string {
	d := &domain{name: name}
	return keyOfSteps(name, d.whole(es, nil), id)
}

func keyOfSteps(name string, way []step, id string) string {
	d := &domain{name: name}
	d.head, d.tag = keyHead("", name, false)
	return d.bucketKey(way, id)
}

// bucketName is what a key names.
type bucketName struct {
	domain  string
	entries []Entry
	id      string
	pattern int // which entry met a pattern, counted from 1
}

func (b bucketName) key() string {
	d := &domain{name: b.domain}
	way := d.whole(b.entries, nil)
	if i := b.effective(); i > 0 {
		way[i-1].sign = patternStep
	}
	return keyOfSteps(b.domain, way, b.id)
}

// effective is pattern, where there is such an entry.
func (b bucketName) effective() int {
	if b.pattern > len(b.entries) {
		return 0
	}
	return b.pattern
}

func (b bucketName) equal(c bucketName) bool {
	return b.domain == c.domain && b.id == c.id && slices.Equal(b.entries, c.entries) && b.effective() == c.effective()
}

// anyText draws texts that try to be mistaken for the marks of a key: its
// separators, lengths and hashes, and texts around the length that is hashed.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringOfN(rapid.SampledFrom([]rune(`{}:,=/#!%0123ab`)), 0, 6, -1),
		rapid.SampledFrom([]string{"", "a", "b", "1:a", ",1:a=1:b", "n:x", "\x00", "\xff"}),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat("x", rapid.IntRange(maxLiteral-1, maxLiteral+2).Draw(t, "length"))
		}),
		rapid.Custom(func(t *rapid.T) string {
			sum := sha256.Sum256([]byte(strings.Repeat("x", maxLiteral+1)))
			return rapid.SampledFrom([]string{"", "#", "!"}).Draw(t, "mark") + base64.RawURLEncoding.EncodeToString(sum[:])
		}),
	)
}

func anyBucket() *rapid.Generator[bucketName] {
	return rapid.Custom(func(t *rapid.T) bucketName {
		text := anyText()
		entry := rapid.Custom(func(t *rapid.T) Entry { return Entry{text.Draw(t, "key"), text.Draw(t, "value")} })
		return bucketName{
			domain:  text.Draw(t, "domain"),
			entries: rapid.SliceOfN(entry, 0, 12).Draw(t, "entries"),
			pattern: rapid.IntRange(0, 2).Draw(t, "pattern"),
			id:      limitID(rapid.OneOf(rapid.Just(""), text).Draw(t, "name"), "token_bucket"),
		}
	})
}

func TestKey_TwoBucketsNeverShareOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyBucket().Draw(t, "a"), anyBucket().Draw(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b.domain, b.id = a.domain, a.id
		}
		if (a.key() == b.key()) != a.equal(b) {
			t.Fatalf("%+v has the key %q\n%+v has the key %q", a, a.key(), b, b.key())
		}
	})
}

func TestKey_TextsThatMoveASeparatorStayApart(t *testing.T) {
	long := strings.Repeat("x", maxLiteral+1)
	hashed := string(appendHash([]byte("#"), long))
	many := make([]Entry, 5000)
	seen := map[string]bucketName{}
	for _, b := range []bucketName{
		{"d", []Entry{{"a", "b_c"}}, "n:x", 0},
		{"d", []Entry{{"a_b", "c"}}, "n:x", 0},
		{"d", []Entry{{"a", "b"}, {"c", "d"}}, "n:x", 0},
		{"d", []Entry{{"a", "b"}}, "n:x", 1},
		{"d", []Entry{{"a", "b"}, {"c", "d"}}, "n:x", 1},
		{"d", []Entry{{"a", "b"}, {"c", "d"}}, "n:x", 2},
		{"d", []Entry{{"a", "b~1:c"}}, "n:x", 0},
		{"d", []Entry{{"a", "b,1:c=1:d"}}, "n:x", 0},
		{"d", []Entry{{"a", "b/n:x"}}, "n:x", 0},
		{"d", []Entry{{"a", "b"}}, "n:x/n:x", 0},
		{"d", []Entry{{"a", "b"}}, limitID("token_bucket", "token_bucket"), 0},
		{"d", []Entry{{"a", "b"}}, limitID("", "token_bucket"), 0},
		{"d", []Entry{{"a", long}}, "n:x", 0},
		{"d", []Entry{{"a", hashed}}, "n:x", 0},
		{"d", []Entry{{"a", hashed[1:]}}, "n:x", 0},
		{"d}", []Entry{{"a", "b"}}, "n:x", 0},
		{"{d", []Entry{{"a", "b"}}, "n:x", 0},
		{"%7Bd", []Entry{{"a", "b"}}, "n:x", 0},
		{"", nil, "n:x", 0},
		{long, nil, "n:x", 0},
		{hashed, nil, "n:x", 0},
		{"d", nil, "n:x", 0},
		{"d", []Entry{{"", ""}}, "n:x", 0},
		{"d", many, "n:x", 0},
		{"d", many[1:], "n:x", 0},
	} {
		if other, taken := seen[b.key()]; taken {
			t.Errorf("%+v and %+v share the key %q", b, other, b.key())
		}
		seen[b.key()] = b
	}
}

// All of a domain's keys fall into one slot of a cluster, as buckets that are
// judged together must, and the tag is never empty: Redis would hash the whole
// key then.
func TestKey_HashTagIsTheDomainsAlone(t *testing.T) {
	tag := func(key string) string {
		_, rest, _ := strings.Cut(key, "{")
		tag, _, _ := strings.Cut(rest, "}")
		return tag
	}
	seen := map[string]string{}
	for _, name := range []string{"", "d", "d}", "d}x", "{d", "}d", "d{", "%7D", "}", "d%7D", strings.Repeat("d", 300), strings.Repeat("d", 301)} {
		key := keyOf(name, []Entry{{"{a}", "{b}"}}, "n:{x}")
		if other, taken := seen[tag(key)]; taken || tag(key) == "" {
			t.Errorf("the domain %q has the tag %q, and so has %q", name, tag(key), other)
		}
		seen[tag(key)] = name
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyBucket().Draw(t, "a"), anyBucket().Draw(t, "b")
		if tag(a.key()) == "" || !strings.HasPrefix(a.key(), "{") {
			t.Fatalf("%+v has the key %q", a, a.key())
		}
		if (tag(a.key()) == tag(b.key())) != (a.domain == b.domain) {
			t.Fatalf("the domains %q and %q have the keys %q and %q", a.domain, b.domain, a.key(), b.key())
		}
	})
}

func TestKey_HasABoundWhateverAClientSends(t *testing.T) {
	huge := make([]Entry, 10_000)
	for i := range huge {
		huge[i] = Entry{strings.Repeat("k", 300), strings.Repeat("v", 1000)}
	}
	for _, n := range []int{1, 7, 20, len(huge)} {
		if key := keyOf("llm", huge[:n], "n:x"); len(key) > maxKey+100 {
			t.Errorf("%d entries make a key of %d bytes", n, len(key))
		}
	}
	// The longest value that stands as it is, and the shortest that does not.
	literal := keyOf("llm", []Entry{{"k", strings.Repeat("v", maxLiteral)}}, "n:x")
	hashed := keyOf("llm", []Entry{{"k", strings.Repeat("v", maxLiteral+1)}}, "n:x")
	if !strings.Contains(literal, "vvv") || strings.Contains(hashed, "vvv") {
		t.Errorf("values of %d and %d bytes make the keys\n%s\n%s", maxLiteral, maxLiteral+1, literal, hashed)
	}
}

func FuzzKey(f *testing.F) {
	f.Add("d", "a", "b_c", "x", "d", "a_b", "c", "x")
	f.Add("d", "a", "b,1:c=1:d", "x", "d", "a", "b", "x")
	f.Fuzz(func(t *testing.T, d1, k1, v1, n1, d2, k2, v2, n2 string) {
		a := bucketName{d1, []Entry{{k1, v1}}, limitID(n1, "token_bucket"), 0}
		b := bucketName{d2, []Entry{{k2, v2}}, limitID(n2, "token_bucket"), 0}
		c := bucketName{d1, []Entry{{k1, v1}, {k2, v2}}, limitID(n1, "token_bucket"), 0}
		d := bucketName{d1, []Entry{{k1, v1}, {k2, v2}}, limitID(n1, "token_bucket"), 1}
		for _, pair := range [][2]bucketName{{a, b}, {a, c}, {b, c}, {a, d}, {c, d}} {
			if (pair[0].key() == pair[1].key()) != pair[0].equal(pair[1]) {
				t.Errorf("%+v has the key %q\n%+v has the key %q", pair[0], pair[0].key(), pair[1], pair[1].key())
			}
		}
	})
}
