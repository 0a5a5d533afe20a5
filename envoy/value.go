package envoy

import (
	"iter"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/descriptors"
)

// value is a place in a configuration, also one where nothing stands: then n is nil.
type value struct {
	doc *descriptors.Document
	n   *yaml.Node
}

func of(doc *descriptors.Document, n *yaml.Node) value {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n != nil && n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		n = nil // as if the field were not there
	}
	return value{doc, n}
}

func (v value) ok() bool { return v.n != nil }

// get is the field that a path of names leads to. Each is in snake case, and is found
// in camel case too.
func (v value) get(path ...string) value {
	for _, name := range path {
		found := value{doc: v.doc}
		for key, field := range v.fields() {
			if key.Value == name || key.Value == camel(name) {
				found = field
				break
			}
		}
		v = found
	}
	return v
}

// fields are those of a mapping, with what merge keys bring after its own.
func (v value) fields() iter.Seq2[*yaml.Node, value] {
	return func(yield func(*yaml.Node, value) bool) { v.each(yield, 0) }
}

// maxMerges bounds how deep merge keys follow each other, which may lead in a circle.
const maxMerges = 20

func (v value) each(yield func(*yaml.Node, value) bool, depth int) bool {
	if v.n == nil || v.n.Kind != yaml.MappingNode || depth > maxMerges {
		return true
	}
	var merged []value
	for i := 0; i+1 < len(v.n.Content); i += 2 {
		key, field := v.n.Content[i], of(v.doc, v.n.Content[i+1])
		if key.Tag == "!!merge" {
			merged = append(merged, field)
		} else if !yield(key, field) {
			return false
		}
	}
	for _, m := range merged {
		for _, one := range append([]value{m}, m.items()...) {
			if !one.each(yield, depth+1) {
				return false
			}
		}
	}
	return true
}

// items are those of a list.
func (v value) items() (all []value) {
	if v.n == nil || v.n.Kind != yaml.SequenceNode {
		return nil
	}
	for _, n := range v.n.Content {
		all = append(all, of(v.doc, n))
	}
	return all
}

// text is a scalar as it is written.
func (v value) text() string {
	if v.n == nil || v.n.Kind != yaml.ScalarNode {
		return ""
	}
	return v.n.Value
}

func (v value) isTrue() bool { return v.text() == "true" }

// number is a whole number, ok only if one stands there.
func (v value) number() (n uint64, ok bool) {
	n, err := strconv.ParseUint(v.text(), 10, 64)
	return n, err == nil
}

// duration is one in the form of protocol buffers, such as 0.5s.
func (v value) duration() (d time.Duration, ok bool) {
	if !strings.HasSuffix(v.text(), "s") {
		return 0, false
	}
	d, err := time.ParseDuration(v.text())
	return d, err == nil
}

// kind is the type of an extension's configuration, without what stands before its
// name.
func (v value) kind() string { return afterSlash(v.get("@type").text()) }

func afterSlash(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// typed is the configuration of an extension, and its type: also of one that is
// wrapped into a TypedStruct.
func (v value) typed() (config value, kind string) {
	if kind = v.kind(); strings.HasSuffix(kind, ".TypedStruct") {
		return v.get("value"), afterSlash(v.get("type_url").text())
	}
	return v, kind
}

// walk calls visit with v and all that is in it, each place once, until visit
// answers false, which leaves out what is below.
func (v value) walk(visit func(value) bool) {
	seen := map[*yaml.Node]bool{}
	var down func(value)
	down = func(v value) {
		if v.n == nil || seen[v.n] {
			return
		}
		seen[v.n] = true
		if !visit(v) {
			return
		}
		for _, n := range v.n.Content {
			down(of(v.doc, n))
		}
	}
	down(v)
}

// camel is a name as JSON writes it.
func camel(snake string) string {
	first, rest, found := strings.Cut(snake, "_")
	for found {
		var word string
		if word, rest, found = strings.Cut(rest, "_"); word != "" {
			first += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return first
}
