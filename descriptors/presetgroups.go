package descriptors

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// groups reads a group table: a mapping, or a text that holds one as JSON, which
// is how gateways keep it.
func (w *walker) groups(f field) map[string]counts {
	n := f.value
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		if n = w.jsonTable(n); n == nil {
			return nil
		}
	}
	if n.Kind != yaml.MappingNode || n.Tag != "!!map" {
		w.fail(n, "write {GROUP: [TOTAL, SUCCESS], ...}", "groups must be a mapping, not %s", kindOf(n))
		return nil
	}
	found := map[string]field{}
	if w.collect(n, table{what: "groups"}, found); len(found) > maxGroups {
		w.fail(n, "", "%d groups, more than %d", len(found), maxGroups)
		return nil
	}
	groups := map[string]counts{}
	for name, pair := range found {
		if message := groupFault(name); message != "" {
			w.fail(pair.key, "", "%s", message)
		} else if key := resolved(pair.key); key.Tag != "!!str" {
			w.str(field{key, key})
		}
		groups[name] = w.counts(name, pair.value)
	}
	return groups
}

// groupFault says why a group cannot be called so, empty if it can.
func groupFault(name string) string {
	switch {
	case name == "":
		return "a group has an empty name"
	case len(name) > maxGroupName:
		return "the name of a group has at most 100 bytes, not " + quote(name)
	case strings.Contains(name, "*") || printable(name, maxGroupName) != name:
		return "the name of a group has no * and no unprintable characters, not " + quote(name)
	}
	return ""
}

// counts reads what a group admits. Exactly two numbers: of one, or of three, it
// would be a guess which is meant.
func (w *walker) counts(group string, n *yaml.Node) counts {
	const remedy = "write [TOTAL, SUCCESS], as in [200, 100]; a total of 0 is unlimited"
	what := "group " + quote(group)
	if n.Kind != yaml.SequenceNode || n.Tag != "!!seq" {
		w.fail(n, remedy, "%s must be a list of two numbers, not %s", what, kindOf(n))
		return counts{}
	}
	items, ok := w.items(field{&yaml.Node{Value: what}, n})
	if ok && len(items) != 2 {
		w.fail(n, remedy, "%s has %s, not 2", what, counted(len(items), "number"))
	}
	if len(items) != 2 {
		return counts{}
	}
	return counts{
		total:   w.requests(field{&yaml.Node{Value: "the total of " + what}, items[0]}, 0),
		success: w.requests(field{&yaml.Node{Value: "the success of " + what}, items[1]}, 1),
	}
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// maxTableBytes bounds a table that is a text: far more than maxGroups need.
const maxTableBytes = 200_000

// jsonTable reads a text of JSON as if it stood in the file. nil: it is none.
func (w *walker) jsonTable(n *yaml.Node) *yaml.Node {
	if len(n.Value) > maxTableBytes {
		w.fail(n, "", "groups has %d bytes, more than %d", len(n.Value), maxTableBytes)
		return nil
	}
	if !w.count(n, len(n.Value)) {
		return nil
	}
	j := jsonText{text: w.text, node: n, decoder: json.NewDecoder(strings.NewReader(n.Value))}
	var whole any
	if err := json.Unmarshal([]byte(n.Value), &whole); err != nil {
		offset := 0
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = int(syntax.Offset) - 1
		}
		w.fail(j.at(offset), `write it as in {"default": [200, 100], "vip": [0, 1000]}`, "groups is no JSON: %s", printable(err.Error(), maxShown))
		return nil
	}
	j.decoder.UseNumber()
	return j.value()
}

// jsonText turns JSON that stands in a text of the file into nodes with places.
type jsonText struct {
	text    *text
	node    *yaml.Node // of the text
	decoder *json.Decoder

	// Where at has come to.
	begun     bool
	line      int // of the file, counted from that of the node
	seen      int // offset in the text
	column    int
	asWritten bool // the line stands in the file as it reads
}

// value reads one value of JSON that is known to be sound.
func (j *jsonText) value() *yaml.Node {
	before := int(j.decoder.InputOffset())
	gap := j.node.Value[before:]
	token, _ := j.decoder.Token()
	n := j.at(before + len(gap) - len(strings.TrimLeft(gap, " \t\r\n,:")))
	switch token := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if token == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for j.decoder.More() {
			n.Content = append(n.Content, j.value())
		}
		_, _ = j.decoder.Token()
	case json.Number:
		n.Tag, n.Value = "!!float", token.String()
		if !strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!int"
		}
	case string:
		n.Tag, n.Value, n.Style = "!!str", token, yaml.DoubleQuotedStyle
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(token)
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n
}

// at is a node at an offset of the text, none before that of the last call; or at
// the text's beginning where the file writes it in another way than it reads.
func (j *jsonText) at(offset int) *yaml.Node {
	offset = max(0, min(offset, len(j.node.Value)))
	if !j.begun {
		j.enter(0)
	}
	for i := strings.IndexByte(j.node.Value[j.seen:offset], '\n'); i >= 0; i = strings.IndexByte(j.node.Value[j.seen:offset], '\n') {
		j.line++
		j.enter(j.seen + i + 1)
	}
	j.column += utf8.RuneCountInString(j.node.Value[j.seen:offset])
	j.seen = offset
	if !j.asWritten {
		return &yaml.Node{Kind: yaml.ScalarNode, Line: j.node.Line, Column: j.node.Column}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Line: j.node.Line + j.line, Column: j.column}
}

// enter looks for the line of the text that begins at an offset where it should
// stand in the file.
func (j *jsonText) enter(start int) {
	if !j.begun && j.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		j.line++
	}
	j.begun, j.seen, j.asWritten = true, start, false
	line, _, _ := strings.Cut(j.node.Value[start:], "\n")
	if line == "" || j.node.Line+j.line > j.text.lines() {
		return
	}
	written := string(j.text.lineAt(j.node.Line + j.line))
	if i := strings.Index(written, line); i >= 0 && len(written) <= longestLine {
		j.asWritten, j.column = true, utf8.RuneCountInString(written[:i])+1
	}
}
