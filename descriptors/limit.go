package descriptors

import (
	"reflect"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/buckets"
)

// limitSpec is a limit as a file states it.
type limitSpec struct {
	*meaning
	name     string // empty if the file gives none
	at       place  // of the name, else of the limit
	draw     *drawSpec
	replaces []replacement
}

// meaning is what a limit is, whatever it is called and wherever it stands. Limits of
// a file that mean the same share it once the file is read, and it must not be changed
// from then on: 100,000 limits of their own take 36 MB more.
type meaning struct {
	limit     Settings // without Domain
	algorithm string
	reference bool  // of the form rate_limit, whose names need not be unique
	terms     terms // of what has a rate
	heaviest  int64 // of its weights
}

// sharer has limits share what they mean.
type sharer struct{ seen []*meaning }

// mostMeanings bounds those that a limit is compared with: files state many limits of
// few kinds, or each of a kind of its own.
const mostMeanings = 16

// share has the limits of rules, and of those below, share what they mean.
func (s *sharer) share(rules []*rule) {
	for _, r := range rules {
		for _, spec := range r.limits {
			s.one(spec)
		}
		s.share(r.children)
	}
}

func (s *sharer) one(spec *limitSpec) {
	for _, m := range s.seen {
		if reflect.DeepEqual(m, spec.meaning) {
			spec.meaning = m
			return
		}
	}
	if s.seen = append(s.seen, spec.meaning); len(s.seen) > mostMeanings {
		s.seen = s.seen[1:]
	}
}

// limits reads a list of limits.
func (w *walker) limits(f field) []*limitSpec {
	items, ok := w.items(f)
	switch {
	case !ok:
		return nil
	case len(items) == 0:
		w.fail(f.value, "remove it, or state a limit", "limits is empty")
	case len(items) > buckets.MaxCharges:
		w.fail(f.value, "", "%d limits on one descriptor, more than %d", len(items), buckets.MaxCharges)
	}
	var specs []*limitSpec
	for _, n := range items {
		if s := w.limit(n); s != nil {
			specs = append(specs, s)
		}
	}
	return specs
}

// limit reads one limit of weir's own form.
func (w *walker) limit(n *yaml.Node) *limitSpec {
	fields, ok := w.fields(n, limitFields)
	if !ok {
		return nil
	}
	s := &limitSpec{meaning: &meaning{algorithm: tokenBucket, limit: w.defaults, heaviest: 1}, at: at(w.text, n)}
	w.common(fields, s)
	w.waiting(fields, &s.limit)
	if f, ok := fields["lease"]; ok {
		word, _ := w.word(f, leaseWords)
		s.limit.Exact = word == "off"
	}
	room := anything
	if w.bucket(n, fields, s) {
		room = roomOf(s.limit.Bucket)
	}
	if f, ok := fields["weight"]; ok {
		var heaviest weighed
		s.limit.Weight, heaviest = w.weight(f, room)
		s.heaviest = heaviest.tokens
	}
	return s
}

// common reads the fields that every form of limit has.
func (w *walker) common(fields map[string]field, s *limitSpec) {
	if f, ok := fields["name"]; ok {
		s.name, s.at = w.name(f), at(w.text, f.value)
	}
	w.enforcement(fields, &s.limit)
	w.replaces(fields, s)
	if f, ok := fields["on_store_error"]; ok {
		s.limit.OnStoreError = w.onStoreError(f)
	}
	if f, ok := fields["response"]; ok {
		s.limit.Response = w.response(f)
	}
}

// onStoreError reads what becomes of a request when the store fails.
func (w *walker) onStoreError(f field) buckets.OnStoreError {
	word, _ := w.word(f, storeErrorWords)
	switch word {
	case "allow":
		return buckets.Allow
	case "deny":
		return buckets.Deny
	case "error":
		return buckets.Fail
	}
	return buckets.Local
}

// maxName bounds the name of a limit, which travels with every refusal.
const maxName = 200

// name reads a limit's name.
func (w *walker) name(f field) string {
	name, ok := w.str(f)
	switch {
	case !ok:
		return ""
	case name == "":
		w.fail(f.value, "remove it, or write one", "the name is empty")
	case len(name) > maxName:
		w.fail(f.value, "", "the name has %d bytes, more than %d", len(name), maxName)
	case printable(name, maxName) != name:
		w.fail(f.value, "", "the name %s has unprintable characters", quote(name))
	}
	return name
}
