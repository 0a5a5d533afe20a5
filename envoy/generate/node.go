package generate

import (
	"bytes"
	"regexp"

	"go.yaml.in/yaml/v4"
)

// object is a mapping of names and what belongs to them, which is a node, a text, a
// whole number or a boolean, or nil, which leaves the name out.
func object(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		if v := scalar(pairs[i+1]); v != nil {
			key := scalar(pairs[i])
			key.HeadComment, v.HeadComment = v.HeadComment, ""
			n.Content = append(n.Content, key, v)
		}
	}
	return n
}

func list(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// inline is n on one line.
func inline(n *yaml.Node) *yaml.Node {
	n.Style = yaml.FlowStyle
	return n
}

// noted is n with a comment behind it.
func noted(n *yaml.Node, comment string) *yaml.Node {
	n.LineComment = "# " + comment
	return n
}

// headed is n with a comment on the line before it.
func headed(n *yaml.Node, comment string) *yaml.Node {
	n.HeadComment = "# " + comment
	return n
}

// bare are texts that need no quotes in YAML, of which a few are words of its own.
var bare, words = regexp.MustCompile(`^([A-Za-z/][A-Za-z0-9_./-]*|[0-9.]+s|[0-9]+(\.[0-9]+){3})$`), regexp.MustCompile(`(?i)^(true|false|null|yes|no|on|off|y|n)$`)

// literal is what is no text: a number, a boolean, a bare word.
type literal string

func scalar(v any) *yaml.Node {
	switch v := v.(type) {
	case *yaml.Node:
		return v
	case literal:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: string(v)}
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
		if !bare.MatchString(v) || words.MatchString(v) {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n
	case bool:
		if v {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"}
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"}
	}
	return nil
}

// written is a document.
func written(n *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	dumper, err := yaml.NewDumper(&out, yaml.WithIndent(2), yaml.WithLineWidth(-1), yaml.WithCompactSeqIndent(true))
	if err != nil {
		return nil, err
	}
	if err := dumper.Dump(n); err != nil {
		return nil, err
	}
	return out.Bytes(), dumper.Close()
}
