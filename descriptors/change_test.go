package descriptors

import (
	"testing"

	"github.com/weir-rls/weir/buckets"
)

// sourceOf serves one file's text, which must have no errors.
func sourceOf(t *testing.T, content string) *Source {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, map[string]string{"a.yaml": content})
	s := NewSource(dir, Options{})
	if r := s.Reload(); r.Faults.Failed() {
		t.Fatalf("the rules have errors:\n%s", r.Faults.Text())
	}
	return s
}

func set(t *testing.T, s *Source, changes ...Change) {
	t.Helper()
	if faults := s.SetChanges(changes); len(faults) > 0 {
		t.Fatalf("faults: %+v", faults)
	}
}

func TestC07_AChangeIsLiveAtOnceAndUndone(t *testing.T) {
	s := sourceOf(t, "domain: llm\ndescriptors: [{key: user, limits: [{name: all, rate: 10/s}]}]\n")
	size := func() int64 { return charge(t, s.Rules(), "user=a").Bucket.Size() }
	set(t, s, Change{Domain: "llm", Limit: "all", Rate: "20/s"})
	if size() != 20 {
		t.Errorf("%d after a change to 20/s", size())
	}
	set(t, s, Change{Domain: "llm", Limit: "all", Rate: "20/s", For: map[string]string{"user": "b"}})
	if size() != 10 || charge(t, s.Rules(), "user=b").Bucket.Size() != 20 {
		t.Errorf("%d after a change for another bucket", size())
	}
	off := false
	set(t, s, Change{Domain: "llm", Enabled: &off})
	if m := s.Rules().Resolve(request("user=a")); len(m.Matches) > 0 || !m.KnownDomain {
		t.Errorf("%+v in a domain that is off", m)
	}
	set(t, s)
	if size() != 10 {
		t.Errorf("%d without a change", size())
	}
	_ = buckets.MaxTicks
}
