package descriptors

import (
	"path/filepath"
	"strings"
	"testing"
)

const userRules = `
domain: llm
pools: [{name: units, rate: 10/s, burst: 100}, {name: each, rate: 10/s, burst: 100, split_by: [user]}, {name: slots, slots: 5}]
descriptors:
  - key: user
    limits: [{rate: 10/s}, {algorithm: concurrency, slots: 2}]
    descriptors: [{key: model, limits: [{name: model, rate: 5/s}]}]
  - {key: user, value: "t*", limits: [{name: trial, rate: 1/s}]}
  - {key: user, value: known, limits: [{name: known, rate: 99/s}]}
  - {key: api, value: a, draw: {pool: units}}
  - {key: api, value: b, draw: {pool: units, weight: 2}}
  - {key: group, draw: {pool: each}}
  - {key: other, draw: {pool: each}}
  - {key: job, draw: {pool: slots}}
`

// tagOf is what decides a key's slot in a Cluster.
func tagOf(t *testing.T, key string) string {
	t.Helper()
	tag, _, found := strings.Cut(key, "}")
	if !found || len(tag) < 2 || tag[0] != '{' || strings.Contains(tag[1:], "{") {
		t.Fatalf("the key %q has no tag of its own", key)
	}
	return tag[1:]
}

// tags are those of all buckets that descriptors meet, each once.
func tags(t *testing.T, r *Rules, descriptors ...string) (all []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range r.Resolve(request(descriptors...)).Matches {
		for _, key := range []string{m.Charge.Key, m.Charge.ClassKey} {
			if key == "" {
				continue
			}
			if tag := tagOf(t, key); !seen[tag] {
				seen[tag], all = true, append(all, tag)
			}
		}
	}
	return all
}

func TestHashTag_OfADomainChangesNoKey(t *testing.T) {
	for _, stated := range []string{"", "hash_tag: domain\n"} {
		r := rulesOf(t, stated+userRules)
		for descriptor, want := range map[string]string{
			"user=u model=m": "{llm}3:llm,4:user=1:u,5:model=1:m/n:model",
			"user=trial":     "{llm}3:llm,4:user~5:trial/n:trial",
			"api=a":          "{llm}3:llm|t5:units",
			"group=g":        "{llm}3:llm|t4:each,-",
		} {
			if key := charge(t, r, descriptor).Key; key != want {
				t.Errorf("%q: %s has the key %s, want %s", stated, descriptor, key, want)
			}
		}
	}
}

// All buckets of one user are together, whichever rule they are of; those of users
// and pools are not.
func TestHashTag_OfEntitiesIsThatOfTheFirstEntry(t *testing.T) {
	r := rulesOf(t, "hash_tag: entity\n"+userRules)
	if key, want := charge(t, r, "user=u model=m").Key, "{llm,25819039}3:llm,4:user=1:u,5:model=1:m/n:model"; key != want {
		t.Errorf("the key is %s, want %s", key, want)
	}
	for _, together := range [][]string{
		{"user=u", "user=u model=m", "user=u model=n"},
		{"user=trial"},
		{"user=known"},
		{"api=a", "api=b"}, // with all classes
		{"job=x", "job=y"},
		{"user=u", "group=g", "other=o"}, // split by whom the user is
	} {
		if got := tags(t, r, together...); len(got) != 1 || !strings.HasPrefix(got[0], "llm,") {
			t.Errorf("%q have the tags %q, want one", together, got)
		}
	}
	if got := tags(t, r, "user=u", "user=v", "user=trial", "api=a", "job=x"); len(got) != 5 {
		t.Errorf("the tags are %q, want five", got)
	}
	many := map[string]bool{}
	for i := range 1000 {
		many[tags(t, r, "user="+strings.Repeat("x", i))[0]] = true
	}
	if len(many) != 1000 {
		t.Errorf("1000 users have %d tags", len(many))
	}
	if key := charge(t, r, "user="+strings.Repeat("}{", 600)).Key; len(tagOf(t, key)) != len("llm,01234567") {
		t.Errorf("a hostile user has the key %q", key)
	}
}

// A limit that comes with a request is of the same user as those of the rules.
func TestHashTag_OfAnOverrideIsThatOfTheUser(t *testing.T) {
	r := rulesOf(t, "hash_tag: entity\n"+userRules)
	req := request("user=u", "user=u model=m")
	req.Descriptors[1].Override = &Override{Requests: 5, Unit: Minute}
	m := r.Resolve(req).Matches
	if a, b := m[0].Charge.Key, m[len(m)-1].Charge.Key; tagOf(t, a) != tagOf(t, b) {
		t.Errorf("the keys are %s and %s", a, b)
	}
}

func TestHashTag_FilesOfADomainMustAgree(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"1.yaml": limited("llm", "a", 1) + "hash_tag: entity\n",
		"2.yaml": limited("llm", "b", 2) + "hash_tag: domain\n",
		"3.yaml": limited("other", "c", 3),
	})
	_, faults := Load([]string{dir}, Options{MergeDomains: true})
	got := brief(dir, faults)
	if len(got) != 1 || !strings.HasPrefix(got[0], "2.yaml:") || !strings.Contains(got[0], "hash_tag differs from 1.yaml:") {
		t.Errorf("%q, want that the second differs", got)
	}
}

// Where values are hidden a tag tells no more of them than the rest of the key, and a
// split pool is still with whom it is split by.
func TestHashTag_TellsNothingOfHiddenValues(t *testing.T) {
	open := rulesOf(t, "hash_tag: entity\n"+userRules)
	dir := t.TempDir()
	put(t, dir, map[string]string{"s": testSecret + "\n", "a.yaml": "keys: {hash: hmac-sha256, secret_file: s}\nhash_tag: entity\n" + userRules})
	hidden, faults := Load([]string{filepath.Join(dir, "a.yaml")}, Options{})
	if faults.Failed() {
		t.Fatal(faults.Text())
	}
	together := []string{"user=u", "user=u model=m", "group=g"}
	got := tags(t, hidden, together...)
	if plain := tags(t, open, together...); len(got) != 1 || got[0] == plain[0] {
		t.Errorf("the tags are %q, in the clear %q", got, plain)
	}
}

// Who spreads buckets over a Cluster has those of one descriptor in one slot, whatever the
// first entry; a domain that states its hash_tag has what it says.
func TestHashTag_SpreadIsOfAllEntries(t *testing.T) {
	spread := func(stated string) *Rules {
		a := assemble([]*file{parse(Reference.text("test.yaml", []byte(stated+"domain: llm\ndescriptors: [{key: route, descriptors: [{key: user, limits: [{rate: 1/s}, {rate: 9/day}]}]}]")))},
			Options{Dialect: Reference, Spread: true})
		return newRules(a.domains)
	}
	for stated, want := range map[string]int{"": 3, "hash_tag: entity\n": 2, "hash_tag: domain\n": 1} {
		if all := tags(t, spread(stated), "route=r user=a", "route=r user=b", "route=q user=a"); len(all) != want {
			t.Errorf("%q has the tags %q, want %d", stated, all, want)
		}
	}
}
