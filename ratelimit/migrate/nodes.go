package migrate

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// plain copies a node with everything in place of the aliases and merge keys that stand
// for it, so that a part of the copy can be changed alone.
func plain(n *yaml.Node) *yaml.Node {
	of := resolved(n)
	made := *of
	made.Anchor, made.Alias, made.Content = "", nil, nil
	if of != n {
		made.HeadComment, made.LineComment, made.FootComment = n.HeadComment, n.LineComment, n.FootComment
	}
	if of.Kind != yaml.MappingNode {
		for _, c := range of.Content {
			made.Content = append(made.Content, plain(c))
		}
		return &made
	}
	var merged []*yaml.Node
	for key, value := range fields(of) {
		if resolved(key).Tag == "!!merge" {
			merged = append(merged, value)
			continue
		}
		made.Content = append(made.Content, plain(key), plain(value))
	}
	for _, m := range merged {
		merge(&made, m)
	}
	return &made
}

// merge adds to a mapping what it has not of another one, or of a list of them.
func merge(into, n *yaml.Node) {
	if n = resolved(n); n.Kind == yaml.SequenceNode {
		for _, one := range n.Content {
			merge(into, one)
		}
		return
	}
	for key, value := range fields(plain(n)) {
		if field(into, key.Value) == nil {
			into.Content = append(into.Content, key, value)
		}
	}
}

func resolved(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// fields are the fields of a mapping, in order.
func fields(n *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// field is the value of a field, nil if there is none or it states nothing.
func field(n *yaml.Node, name string) *yaml.Node {
	for key, value := range fields(n) {
		if key.Value == name && value.Tag != "!!null" {
			return value
		}
	}
	return nil
}

// text is what a field holds, empty if there is none.
func text(n *yaml.Node, name string) string {
	if value := field(n, name); value != nil {
		return value.Value
	}
	return ""
}

// items are the mappings of a list in a field.
func items(n *yaml.Node, name string) []*yaml.Node {
	list := field(n, name)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	return list.Content
}

// put sets a field where it stands, or at the end.
func put(n *yaml.Node, name string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, scalar("!!str", name), value)
}

// drop removes a field.
func drop(n *yaml.Node, name string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

func scalar(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

func mapping(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle, Content: content}
}

func sequence(content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle, Content: content}
}

// quote makes a text of what YAML would read as something else.
func quote(n *yaml.Node) {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return
	}
	if _, word := booleans[strings.ToLower(n.Value)]; n.Tag != "!!str" || word && n.Style == 0 {
		n.Tag, n.Style = "!!str", yaml.DoubleQuotedStyle
	}
}

// booleans are the words that the reference's reader takes for true and false.
var booleans = map[string]bool{
	"true": true, "y": true, "yes": true, "on": true, "false": false, "n": false, "no": false, "off": false,
}

// truth writes a boolean as every reader of YAML knows it, and tells which it is.
func truth(n *yaml.Node) bool {
	if n == nil || n.Kind != yaml.ScalarNode {
		return false
	}
	value, known := booleans[strings.ToLower(n.Value)]
	if known {
		n.Tag, n.Style, n.Value = "!!bool", 0, map[bool]string{true: "true", false: "false"}[value]
	}
	return value
}

// comments are those in and at a node, which is about to go.
func comments(n *yaml.Node) (all []string) {
	for _, c := range []string{n.HeadComment, n.LineComment} {
		if c != "" {
			all = append(all, c)
		}
	}
	for _, c := range n.Content {
		all = append(all, comments(c)...)
	}
	if n.FootComment != "" {
		all = append(all, n.FootComment)
	}
	return all
}

// comment adds a line above a node.
func comment(n *yaml.Node, line string) {
	if n.HeadComment != "" {
		n.HeadComment += "\n"
	}
	n.HeadComment += line
}
