package generate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/weir-rls/weir/descriptors"
)

// mapping is a mapping file: what of a request feeds the keys of rules.
type mapping struct {
	doc   *descriptors.Document
	keys  map[string]*source
	order []string // of the keys, as the file has them
	costs []*cost

	faults descriptors.Faults
}

// cost is what requests of some rules cost, where that is no matter of the rules.
type cost struct {
	at     *yaml.Node
	rule   string // where the rules begin, as weir names them
	format string // of hits_addend
	atEnd  bool   // it is known when the response has ended
	used   bool
}

// readMapping reads a mapping, and all that is wrong with it.
func readMapping(name string) *mapping {
	m := &mapping{keys: map[string]*source{}}
	doc, fault := descriptors.ReadDocument(name)
	if fault != nil {
		m.faults = append(m.faults, *fault)
		return m
	}
	m.doc = doc
	root := doc.Roots[0]
	if len(doc.Roots) > 1 {
		m.fail(doc.Roots[1], "put all of it into the first", "a second document begins here")
	}
	fields := m.fields(root, "the mapping", "keys", "costs")
	keys, stated := fields["keys"]
	if !stated {
		m.fail(root, "write keys: {KEY: {header: NAME}}, with each key of the rules", "the mapping names no keys")
	}
	for _, f := range m.entries(keys.value, "keys", "keys: {user: {header: x-user}}") {
		if s := m.source(f); s != nil {
			m.keys[s.key] = s
			m.order = append(m.order, s.key)
		}
	}
	for _, f := range m.entries(fields["costs"].value, "costs", "costs: {tenant: {response_header: x-tokens}}") {
		m.cost(f)
	}
	return m
}

// fail notes what is wrong at a node.
func (m *mapping) fail(n *yaml.Node, remedy, format string, args ...any) {
	if f, told := m.doc.Tell(n, descriptors.Error, "mapping", fmt.Sprintf(format, args...), remedy); told {
		m.faults = append(m.faults, f)
	}
}

// field is a name in a mapping and what stands beside it.
type field struct{ name, value *yaml.Node }

// entries are the fields of a node that holds names of a user's choice.
func (m *mapping) entries(n *yaml.Node, what, example string) (all []field) {
	if n = resolved(n); n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		m.fail(n, "write "+example, "%s is no mapping", what)
		return nil
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f := field{n.Content[i], resolved(n.Content[i+1])}
		switch {
		case f.name.Kind != yaml.ScalarNode || f.name.Tag == "!!merge":
			m.fail(f.name, "write a name", "a name in %s is a text", what)
		case seen[f.name.Value]:
			m.fail(f.name, "join the two", "%s stands here twice", quote(f.name.Value))
		default:
			seen[f.name.Value] = true
			all = append(all, f)
		}
	}
	return all
}

// fields are those of a node that may have only the known ones.
func (m *mapping) fields(n *yaml.Node, what string, known ...string) map[string]field {
	found := map[string]field{}
	for _, f := range m.entries(n, what, "{"+known[0]+": ...}") {
		if !slices.Contains(known, f.name.Value) {
			m.fail(f.name, "known here: "+strings.Join(known, ", "), "%s has no field %s", what, quote(f.name.Value))
			continue
		}
		found[f.name.Value] = f
	}
	return found
}

// text reads a text, or a number as it is written.
func (m *mapping) text(f field) (string, bool) {
	if f.value.Kind != yaml.ScalarNode || f.value.Tag == "!!null" || f.value.Value == "" {
		m.fail(f.value, "write "+f.name.Value+": TEXT", "%s is no text", f.name.Value)
		return "", false
	}
	return f.value.Value, true
}

// texts reads a text or a list of some.
func (m *mapping) texts(f field) (all []string, ok bool) {
	if f.value.Kind != yaml.SequenceNode {
		one, ok := m.text(f)
		return []string{one}, ok
	}
	if ok = len(f.value.Content) > 0; !ok {
		m.fail(f.value, "write one", "%s is empty", f.name.Value)
	}
	for _, n := range f.value.Content {
		one, sound := m.text(field{f.name, resolved(n)})
		all, ok = append(all, one), ok && sound
	}
	return all, ok
}

// costSources are where the number of a cost may come from.
var costSources = []string{"response_header", "metadata", "bytes", "request_header"}

// cost reads what the requests of some rules cost.
func (m *mapping) cost(f field) {
	what := "the cost of " + quote(f.name.Value)
	fields := m.fields(f.value, what, costSources...)
	if len(fields) != 1 {
		m.fail(f.name, "write one of "+strings.Join(costSources, ", "), "%s comes from %d places", what, len(fields))
		return
	}
	c := &cost{at: f.name, rule: f.name.Value, atEnd: true}
	for name, one := range fields {
		values, ok := m.texts(one)
		if !ok || !m.plain(one, values) {
			return
		}
		switch {
		case name == "metadata" && len(values) < 2:
			m.fail(one.value, "write metadata: [NAMESPACE, KEY]", "metadata is a namespace and a key")
			return
		case name == "metadata":
			c.format = "%DYNAMIC_METADATA(" + strings.Join(values, ":") + ")%"
		case len(values) > 1:
			m.fail(one.value, "write one", "%s is a single text", name)
			return
		case name == "bytes":
			if c.format = map[string]string{"sent": "%BYTES_SENT%", "received": "%BYTES_RECEIVED%"}[values[0]]; c.format == "" {
				m.fail(one.value, "write sent, to the client, or received", "bytes cannot be %s", quote(values[0]))
				return
			}
		case name == "response_header":
			c.format = "%RESP(" + values[0] + ")%"
		default: // what is no number would leave the descriptor out
			header := "request.headers['" + strings.ToLower(values[0]) + "']"
			c.format = "%CEL('" + strings.ToLower(values[0]) + "' in request.headers && " + header + ".matches('^[0-9]{1,9}$') ? int(" + header + ") : 1)%"
			c.atEnd = false
		}
	}
	m.costs = append(m.costs, c)
}

// plain refuses what would end a text in which Envoy looks for it.
func (m *mapping) plain(f field, values []string) bool {
	for _, v := range values {
		if strings.ContainsAny(v, "'\"\\%():\n\r\t\x00") && !strings.HasPrefix(v, ":") || strings.ContainsAny(v, "'\\\n") {
			m.fail(f.value, "write it without quotes, backslashes, %, colons and parentheses", "%s cannot be %s", f.name.Value, quote(v))
			return false
		}
	}
	return true
}

// resolved is a node, without an alias before it; nil for what is absent or null.
func resolved(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n != nil && n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	return n
}

// quote is what a file says, for a message: escaped, in quotes, and cut.
func quote(s string) string {
	const limit = 80
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "…"
	}
	return strconv.Quote(s)
}
