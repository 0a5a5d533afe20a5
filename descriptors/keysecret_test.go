package descriptors

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const hashedRules = "domain: llm\nkeys: {hash: hmac-sha256, secret_file: secrets/s}\ndescriptors: [{key: user, limits: [{name: l, rate: 5/s}]}]\n"

// keyIn is the key of alice's bucket.
func keyIn(s *Source) string {
	return s.Rules().Resolve(request("user=alice")).Matches[0].Charge.Key
}

// A secret that is replaced is followed like the rules; one that cannot be used
// changes nothing, however it comes.
func TestSecret_AReplacedOneIsFollowedAndABadOneChangesNothing(t *testing.T) {
	dir := t.TempDir()
	secret := func(content string) { put(t, dir, map[string]string{"secrets/s": content}) }
	secret(testSecret + "\n")
	put(t, dir, map[string]string{"a.yaml": hashedRules})
	s := NewSource(dir, Options{})
	step := func(what, want string, failed bool) string {
		t.Helper()
		r := s.Reload()
		if states(r) != want || r.Faults.Failed() != failed {
			t.Errorf("%s: %q, want %q; faults:\n%s", what, states(r), want, r.Faults.Text())
		}
		if strings.Contains(r.Faults.Text(), testSecret) {
			t.Errorf("%s: the secret is told", what)
		}
		return keyIn(s)
	}
	first := step("at first", "llm:loaded", false)
	if !strings.Contains(first, hashOf("alice")) {
		t.Errorf("the key is %s", first)
	}
	step("nothing changed", "", false)
	secret(testSecret) // a newline at its end is none of it
	step("the newline is gone", "", false)
	secret(testSecret + "\r\n")
	step("another newline", "", false)
	for what, content := range map[string]string{"short": "too short\n", "empty": "", "long": strings.Repeat("x", maxSecret+1)} {
		secret(content)
		if step(what, "llm:kept", true) != first {
			t.Errorf("%s: the last good rules are not kept", what)
		}
	}
	remove(t, filepath.Join(dir, "secrets/s"))
	if step("missing", "llm:kept", true) != first {
		t.Error("missing: the last good rules are not kept")
	}
	step("still missing", "", false)
	secret(testSecret)
	if step("as before", "llm:loaded", false) != first {
		t.Error("the same secret makes another key")
	}
	secret(strings.Repeat("y", minSecret))
	if step("another secret", "llm:loaded", false) == first {
		t.Error("another secret makes the same key")
	}
}

// Rules that are read again for a change that is set have the secret of those that
// are in force, until a reload has judged what stands in its place.
func TestSecret_AChangeThatIsSetReadsNoOtherOne(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{"secrets/s": testSecret, "a.yaml": hashedRules})
	s := NewSource(filepath.Join(dir, "a.yaml"), Options{})
	s.Reload()
	before := keyIn(s)
	for _, content := range []string{"too short", strings.Repeat("y", minSecret)} {
		put(t, dir, map[string]string{"secrets/s": content})
		set(t, s, `{"limit": "l", "rate": "50/s"}`)
		if got := met(s.Rules(), "user=alice"); got != "50" || keyIn(s) != before {
			t.Errorf("%.9s: the limit is %s and the key %s, want 50 and %s", content, got, keyIn(s), before)
		}
		set(t, s)
	}
	s.Reload()
	if keyIn(s) == before {
		t.Error("a reload does not read the secret")
	}
}

// Files of one domain must not say two things of its keys, and one that says
// nothing has what the other says.
func TestSecret_MergedFilesHaveOne(t *testing.T) {
	dir := t.TempDir()
	keys := "keys: {hash: hmac-sha256, secret_file: "
	put(t, dir, map[string]string{
		"s": testSecret, "same": testSecret + "\n", "other": testSecret + "!",
		"1.yaml": limited("llm", "a", 1) + keys + "s}\n", "2.yaml": limited("llm", "user", 2), "3.yaml": limited("llm", "c", 2) + keys + "same}\n",
	})
	r, faults := Load([]string{dir}, Options{MergeDomains: true})
	if len(faults) > 0 || !strings.Contains(r.Resolve(request("user=alice")).Matches[0].Charge.Key, hashOf("alice")) {
		t.Fatalf("merged: %s", faults.Text())
	}
	for _, differ := range [][2]string{{"s}", "other}"}, {"s}", "s, entries: [c]}"}, {"s, entries: [a]}", "s, entries: [c]}"}} {
		put(t, dir, map[string]string{"1.yaml": limited("llm", "a", 1) + keys + differ[0] + "\n", "3.yaml": limited("llm", "c", 2) + keys + differ[1] + "\n"})
		_, faults := Load([]string{dir}, Options{MergeDomains: true})
		want := []string{"3.yaml:4:1: error: keys differs from 1.yaml:4:1, a file of the same domain"}
		if got := brief(dir, faults); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", differ, got, want)
		}
	}
}

// Rules without `keys` are charged as they always were.
func TestSecret_NobodyElsesKeysChange(t *testing.T) {
	r := rulesOf(t, "domain: llm\ndescriptors: [{key: user, limits: [{name: l, rate: 5/s}]}]\n")
	found := r.Resolve(request("user=alice"))
	if got := found.Matches[0].Charge.Key; got != "{llm}3:llm,4:user=5:alice/n:l" {
		t.Errorf("the key is %s", got)
	}
	if sent := entries("user=alice"); !slices.Equal(found.Redaction.Entries(sent), sent) {
		t.Error("a value is hidden that nobody hides")
	}
}
