package descriptors

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// maxAliased bounds the nodes that are reached more than once, through aliases:
// ten lines of YAML can otherwise expand to more than a machine can hold.
const maxAliased = 100_000

// walker reads the nodes of one file and collects the faults it finds.
type walker struct {
	text   *text
	faults Faults

	reported [2]int // faults, by severity

	// defaults is a limit with what the file's defaults say: what becomes of a
	// request when the store fails, and what a refused caller sees.
	defaults         Settings
	storeErrorStated bool // by the defaults
	dates            dates
	zones            map[string]*time.Location // read so far
	declared         map[string]*Response
	keys             map[string]string // of entries, see once

	discreet bool                // the file says `keys`: faults do not repeat values of entries
	plain    bool                // no node has a name, so each is reached once
	walked   int                 // nodes read, those reached again through an alias counted again
	open     map[*yaml.Node]bool // mappings and sequences being read, to notice one that holds itself
}

// field is a key of a mapping and its value, aliases resolved.
type field struct{ key, value *yaml.Node }

func newWalker(t *text) *walker {
	return &walker{
		text: t, defaults: Settings{Weight: Weight{Default: 1}, EnforcePercent: 100, Response: forms["plain"]}, dates: dates{time.UTC, time.Monday},
		zones: map[string]*time.Location{}, declared: map[string]*Response{}, open: map[*yaml.Node]bool{}, keys: map[string]string{},
	}
}

func (w *walker) report(s Severity, n *yaml.Node, remedy, format string, args ...any) {
	switch w.reported[s]++; {
	case w.reported[s] > maxFaults+1:
		return
	case w.reported[s] > maxFaults:
		w.faults = append(w.faults, place{text: w.text}.fault(s, tooMany(s), ""))
	default:
		w.faults = append(w.faults, at(w.text, n).fault(s, fmt.Sprintf(format, args...), remedy))
	}
}

func (w *walker) fail(n *yaml.Node, remedy, format string, args ...any) {
	w.report(Error, n, remedy, format, args...)
}

func (w *walker) warn(n *yaml.Node, remedy, format string, args ...any) {
	w.report(Warning, n, remedy, format, args...)
}

// once is the key of an entry, the same text for all rules that have it: many have few
// keys.
func (w *walker) once(key string) string {
	if known, found := w.keys[key]; found {
		return known
	}
	w.keys[key] = key
	return key
}

// enter marks a node as being read; it fails for one that holds itself. Each
// success needs a leave.
func (w *walker) enter(n *yaml.Node) bool {
	if w.open[n] {
		w.fail(n, "an alias may not stand inside what it names", "this holds itself")
		return false
	}
	w.open[n] = true
	return true
}

func (w *walker) leave(n *yaml.Node) { delete(w.open, n) }

// count counts more nodes as read at n, and fails once aliases have expanded
// the file past its bound: without them it has fewer nodes than characters.
func (w *walker) count(n *yaml.Node, more int) bool {
	bound := len(w.text.content) + maxAliased
	if w.walked <= bound && w.walked+more > bound {
		w.fail(n, "repeat less with aliases, or write several files", "aliases expand this file by more than %d nodes", maxAliased)
	}
	w.walked = min(w.walked+more, bound+1)
	return w.walked <= bound
}

// fields reads a mapping, with what merge keys (<<) bring, and reports the
// fields that t does not know or the file's dialect lacks. ok is false if n is no
// mapping.
func (w *walker) fields(n *yaml.Node, t table) (fields map[string]field, ok bool) {
	if n.Kind != yaml.MappingNode || n.Tag != "!!map" {
		w.fail(n, "known here: "+strings.Join(t.names(), ", "), "%s must be a mapping, not %s", t.what, kindOf(n))
		return nil, false
	}
	fields = map[string]field{}
	w.collect(n, t, fields)
	for name, f := range fields {
		known := t.fields[name]
		if !known && !w.strays(name, f, t) {
			w.fail(f.key, t.suggest(name), "unknown field %s in %s", quote(name), t.what)
		}
		if !known || w.lacks(name, f) {
			delete(fields, name)
		}
	}
	return fields, true
}

// collect adds the fields of a mapping to those it has already; a field that is
// there wins, so own fields are read before merged ones.
func (w *walker) collect(n *yaml.Node, t table, fields map[string]field) {
	if !w.count(n, 1+len(n.Content)) || !w.enter(n) {
		return
	}
	defer w.leave(n)
	own := map[string]*yaml.Node{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolved(n.Content[i]), resolved(n.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			w.fail(n.Content[i], "a field is a word", "%s stands where a field's name is expected", kindOf(key))
			continue
		}
		name := key.Value
		if first, twice := own[name]; twice {
			if w.repeated(n.Content[i], name, first) && fields[name].key == first {
				fields[name] = field{n.Content[i], value}
				own[name] = n.Content[i]
			}
			continue
		}
		own[name] = n.Content[i]
		if key.Tag == "!!merge" {
			merges = append(merges, value)
		} else if _, set := fields[name]; !set {
			fields[name] = field{n.Content[i], value}
		}
	}
	for _, m := range merges {
		w.merge(m, t, fields)
	}
}

// merge adds what a merge key names: a mapping, or several of which the earlier
// win.
func (w *walker) merge(n *yaml.Node, t table, fields map[string]field) {
	switch n.Kind {
	case yaml.MappingNode:
		w.collect(n, t, fields)
	case yaml.SequenceNode:
		if !w.count(n, len(n.Content)) {
			return
		}
		for _, item := range n.Content {
			if item = resolved(item); item.Kind == yaml.MappingNode {
				w.collect(item, t, fields)
			} else {
				w.fail(item, "name a mapping, as in <<: *name", "a merge key cannot take %s", kindOf(item))
			}
		}
	default:
		w.fail(n, "name a mapping, as in <<: *name", "a merge key cannot take %s", kindOf(n))
	}
}

// resolved is the node that an alias names, or n.
func resolved(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// items reads a sequence.
func (w *walker) items(f field) (items []*yaml.Node, ok bool) {
	if f.value.Kind != yaml.SequenceNode || f.value.Tag != "!!seq" {
		w.fail(f.value, "begin each item with \"- \"", "%s must be a list, not %s", f.key.Value, kindOf(f.value))
		return nil, false
	}
	if !w.count(f.value, 1+len(f.value.Content)) {
		return nil, false
	}
	for _, item := range f.value.Content {
		items = append(items, resolved(item))
	}
	return items, true
}

// kindOf names what a node is, for messages.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode && n.Tag == "!!map":
		return "a mapping"
	case n.Kind == yaml.SequenceNode && n.Tag == "!!seq":
		return "a list"
	case n.Kind != yaml.ScalarNode:
		return "a value with the tag " + quote(n.Tag)
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!str":
		return "the text " + quote(n.Value)
	case "!!int", "!!float":
		return "the number " + printable(n.Value, maxShown/4)
	case "!!bool":
		return n.Value
	}
	return quote(n.Value) + " with the tag " + quote(n.Tag)
}
