package descriptors

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever a client sends, the entries are read as they were written, but for what a key
// has only the hash of.
func TestReadKey_TellsTheEntriesOfAnyKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := anyBucket().Draw(t, "bucket")
		got, want := ReadKey(b.key(), nil), []KeyEntry{}
		for _, e := range b.entries {
			e.Key, _ = shortened(e.Key)
			value, hidden := shortened(e.Value)
			want = append(want, KeyEntry{Entry{e.Key, value}, hidden})
		}
		if len(got) == 1 && got[0].Key == "(all entries)" && strings.Contains(b.key(), "}!") {
			return
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q is read as %+v, want %+v", b.key(), got, want)
		}
	})
}

// shortened is a text as it is read of a key, which has no long ones.
func shortened(s string) (text string, hidden bool) {
	if len(s) <= maxLiteral {
		return s, false
	}
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])[:11], true
}

// What is no key has no entries, and does not end the process.
func TestReadKey_OfWhatIsNoKey(t *testing.T) {
	whole := keyOf("d", []Entry{{"user", "alice"}, {"k", "v"}}, "n:x")
	for _, key := range []string{"", "x", "{", "}", "{d}", "{d}9:x", "{d}-1:x,1:a=1:b", "{d}1:d,1:a=$12", "{d}1:d,99999999999999999999:a", "{d}1:d|t1:p,*"} {
		if got := ReadKey(key, nil); len(got) > 0 {
			t.Errorf("%q is read as %+v", key, got)
		}
	}
	for i := range whole {
		ReadKey(whole[:i], nil)
	}
}

const keyedRules = `
pools: [{name: units, rate: 10/s, burst: 100, split_by: [tenant, model]}]
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1/s}]}
  - {key: api, value: a, draw: {pool: units, class: a, weight: 1}}
`

// A key tells what an event tells of a value that the domain hides, and no more.
func TestReadKey_HidesWhatTheDomainHides(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		head    string
		request []Entry
		want    []KeyEntry
	}{
		{"domain: d", []Entry{{"user", "alice"}}, []KeyEntry{{Entry{"user", "alice"}, false}}},
		{"domain: d", []Entry{{"api", "a"}, {"model", "m"}}, []KeyEntry{{Entry{"model", "m"}, false}}},
		{"domain: d\nkeys: {hash: hmac-sha256, secret_file: " + secret + "}", []Entry{{"user", "alice"}}, []KeyEntry{{Entry{"user", "alice"}, true}}},
		{"domain: d\nkeys: {hash: hmac-sha256, secret_file: " + secret + "}", []Entry{{"api", "a"}, {"tenant", "t"}, {"model", "m"}}, []KeyEntry{{Entry{"tenant", "t"}, true}, {Entry{"model", "m"}, true}}},
	} {
		rules, faults := loadText(t, c.head+"\npassive: [tenant, model]"+keyedRules)
		if rules == nil {
			t.Fatal(faults.Text())
		}
		found := rules.Resolve(&Request{Domain: "d", Descriptors: []Descriptor{{Entries: c.request}}})
		if len(found.Matches) != 1 {
			t.Fatalf("%v meets %d limits", c.request, len(found.Matches))
		}
		for i := range c.want {
			c.want[i].Entry = found.Redaction.Entries([]Entry{c.want[i].Entry})[0]
		}
		if got := ReadKey(found.Matches[0].Charge.Key, found.Matches[0].Limit); !slices.Equal(got, c.want) {
			t.Errorf("%q is read as %+v, want %+v", found.Matches[0].Charge.Key, got, c.want)
		}
	}
}
