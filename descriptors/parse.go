package descriptors

import (
	"bytes"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// maxDepth bounds how deep descriptors nest. A request's descriptor has a
// handful of entries, and reading nests as deep as the file does.
const maxDepth = 100

// file is a rule file that was read, as far as it could be.
type file struct {
	text     *text
	raw      []byte // the content as it was read
	unread   string // why it could not be
	domain   string // empty if it could not be read
	domainAt place
	rules    []*rule // nil while they are forgotten
	pools    []*poolSpec
	presets  []*presetSpec
	passive  []string
	keys     *keysSpec // nil: values enter bucket keys as they are

	unmatched, matching, hashTag, enabled choice

	defaults Settings // what a limit that states nothing has
	declared map[string]*Response
	dates    dates
	faults   Faults

	forgotten bool // its rules, see remember
}

// choice is one of several words, and where it is stated; empty if it is not.
type choice struct {
	word string
	at   place
}

// rule is one descriptor of a file: an entry that a request's may meet, the
// limits that apply when it is the last one, and the descriptors below it.
type rule struct {
	key     string   // a pattern if it has a *; of a first_of its name
	firstOf []string // the keys of one, else nil
	values
	shared        bool  // share_threshold: a pattern has one bucket
	detailed      bool  // detailed_metric
	valueToMetric bool  // value_to_metric
	at            place // of the value, else of the key
	limits        []*limitSpec
	children      []*rule
}

// parse reads a rule file and all its faults.
func parse(t *text) *file {
	f := &file{text: t}
	root, fault := readYAML(t)
	if fault != nil {
		f.faults = Faults{*fault}
		return f
	}
	w := newWalker(t)
	w.plain = bytes.IndexByte(t.content, '&') < 0
	w.file(resolved(root), f)
	new(sharer).share(f.rules)
	f.faults = w.faults
	return f
}

func (w *walker) file(n *yaml.Node, f *file) {
	fields, ok := w.fields(n, fileFields)
	if !ok {
		return
	}
	if d, ok := fields["domain"]; !ok || d.null() {
		w.fail(n, `write "domain: NAME", what Envoy's rate limit filter sends as its domain`, "the file has no domain")
	} else if f.domain, ok = w.str(d); ok {
		f.domainAt = at(w.text, d.value)
		if f.domain == "" {
			w.fail(d.value, "write what Envoy's rate limit filter sends as its domain", "the domain is empty")
		}
	}
	if k, ok := fields["keys"]; ok {
		f.keys, w.discreet = w.keyHash(k), true
	}
	if r, ok := fields["responses"]; ok {
		w.responses(r)
	}
	if d, ok := fields["defaults"]; ok {
		w.setDefaults(d)
	}
	f.defaults, f.dates, f.declared = w.unitDefaults(), w.dates, w.declared
	if p, ok := fields["pools"]; ok {
		f.pools = w.pools(p)
	}
	if p, ok := fields["passive"]; ok {
		f.passive = w.passive(p)
	}
	f.unmatched = w.choice(fields["unmatched"], unmatchedWords)
	f.matching = w.choice(fields["matching"], matchingWords)
	f.hashTag = w.choice(fields["hash_tag"], hashTagWords)
	if e, ok := fields["enabled"]; ok {
		f.enabled = choice{strconv.FormatBool(w.enabled(e)), at(w.text, e.value)}
	}
	if d, ok := fields["descriptors"]; ok {
		f.rules = w.rules(d, 1)
	}
	if p, ok := fields["presets"]; ok {
		f.presets = w.presets(p)
	}
}

// choice reads a field that may be missing.
func (w *walker) choice(f field, words []string) choice {
	if f.value == nil {
		return choice{}
	}
	word, _ := w.word(f, words)
	return choice{word, at(w.text, f.value)}
}

// setDefaults reads what limits that state none of their own have.
func (w *walker) setDefaults(d field) {
	fields, ok := w.fields(d.value, defaultsFields)
	if !ok {
		return
	}
	if e, ok := fields["on_store_error"]; ok {
		w.defaults.OnStoreError, w.storeErrorStated = w.onStoreError(e), true
	}
	if r, ok := fields["response"]; ok {
		w.defaults.Response = w.response(r)
	}
	w.setDates(fields, &w.dates)
}

// passive reads the keys of entries that take no part in matching.
func (w *walker) passive(f field) []string {
	items, _ := w.items(f)
	var keys []string
	for _, n := range items {
		key, ok := w.str(field{key: f.key, value: n})
		if ok && key == "" {
			w.fail(n, "name the key of an entry", "a passive entry has an empty key")
		}
		keys = append(keys, key)
	}
	return keys
}

// rules reads a list of descriptors at a depth of nesting.
func (w *walker) rules(f field, depth int) []*rule {
	if f.null() {
		w.warn(f.value, "remove it, or state descriptors", "descriptors is empty")
		return nil
	}
	if depth > maxDepth {
		w.fail(f.value, "", "descriptors nest deeper than %d", maxDepth)
		return nil
	}
	items, _ := w.items(f)
	if !w.enter(f.value) {
		return nil
	}
	defer w.leave(f.value)
	var rules []*rule
	for i, n := range items {
		if r := w.rule(n, depth); r != nil {
			rules = append(rules, r)
		}
		if w.plain {
			items[i], f.value.Content[i] = nil, nil // which may be collected now: all nodes take 30 times as much as the file
		}
	}
	return rules
}

func (w *walker) rule(n *yaml.Node, depth int) *rule {
	faults := len(w.faults)
	fields, ok := w.fields(n, ruleFields)
	if !ok || !w.enter(n) {
		return nil
	}
	defer w.leave(n)
	r := &rule{at: at(w.text, n)}
	sound := w.entry(n, fields, r)
	w.ruleLimits(fields, r)
	w.counting(fields, r)
	below, nested := fields["descriptors"]
	if nested {
		r.children = w.rules(below, depth+1)
	}
	_, limited := fields["rate_limit"]
	if len(r.limits) == 0 && !limited && !nested && len(w.faults) == faults && !r.barren(fields) {
		w.warn(n, "write rate_limit: {unlimited: true} if that is meant", "the descriptor limits nothing: requests that meet it pass")
	}
	if !sound {
		return nil
	}
	return r
}
