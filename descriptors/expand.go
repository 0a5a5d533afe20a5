package descriptors

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// Expanded is a rule file in which plain descriptors stand where it has presets.
type Expanded struct {
	File    string
	Content []byte // as it is, if the file has no presets
}

// Expand reads rule files as [Load] does, and answers what their presets stand
// for. What it answers compiles to the same rules. If there is an error it answers
// nothing but faults.
func Expand(paths []string, opts Options) ([]Expanded, Faults) {
	rules, faults := Load(paths, opts)
	if rules == nil || faults.Failed() {
		return nil, faults
	}
	var all []Expanded
	for _, path := range paths {
		names, _ := list(path)
		for _, name := range names {
			f := readFile(name, Weir)
			content, err := f.expand()
			if err != nil {
				return nil, append(faults, place{text: f.text}.fault(Error, "cannot be written: "+printable(err.Error(), maxShown), ""))
			}
			all = append(all, Expanded{name, content})
		}
	}
	slices.SortFunc(all, func(a, b Expanded) int { return cmp.Compare(a.File, b.File) })
	return slices.CompactFunc(all, func(a, b Expanded) bool { return a.File == b.File }), faults
}

// expand writes a sound file with descriptors in place of its presets.
func (f *file) expand() ([]byte, error) {
	root, fault := readYAML(f.text)
	if fault != nil {
		return nil, *fault
	}
	at := indexOf(root, "presets")
	if len(f.presets) == 0 || at < 0 {
		return f.raw, nil
	}
	root.Content = slices.Delete(root.Content, at, at+2)
	list := child(root, "descriptors", yaml.SequenceNode)
	list.Style &^= yaml.FlowStyle
	for _, p := range f.presets {
		responses := map[*Response]string{f.defaults.Response: ""}
		f.tell(root, p, responses)
		var n yaml.Node
		if err := n.Encode(p.rule().written(responses)); err != nil {
			return nil, err
		}
		n.HeadComment = "what the preset " + p.name + " stands for"
		list.Content = append(list.Content, &n)
	}
	return yaml.Dump(root, yaml.WithIndent(2), yaml.WithLineWidth(160))
}

// tell declares what p's limits tell, where the file does not, and adds the names
// of their responses to names.
func (f *file) tell(root *yaml.Node, p *presetSpec, names map[*Response]string) {
	base := ""
	for _, all := range []map[string]*Response{forms, f.declared} {
		for name, r := range all {
			if r == p.limit.Response {
				base = name
			}
		}
	}
	if p.limit.Response != f.defaults.Response {
		names[p.limit.Response] = base
	}
	for _, success := range []bool{false, true} {
		told, kind := p.told[success], map[bool]string{false: "total", true: "success"}[success]
		if told == p.limit.Response {
			return
		}
		names[told] = p.name + "-" + kind
		for f.declared[names[told]] != nil || forms[names[told]] != nil {
			names[told] += "-"
		}
		declared := child(root, "responses", yaml.MappingNode)
		text := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if at := indexOf(declared, base); at >= 0 {
			text.Content = slices.Clone(resolved(declared.Content[at+1]).Content)
		} else {
			text.Content = []*yaml.Node{word("form"), word(base)}
		}
		text.Content = append(text.Content, word("message"), word(presetTexts[success][told.Language]))
		declared.Content = append(declared.Content, word(names[told]), text)
	}
}

// ruleText and limitText are rules as a file writes them.
type (
	ruleText struct {
		Key         string      `yaml:"key,omitempty"`
		FirstOf     []string    `yaml:"first_of,flow,omitempty"`
		Value       string      `yaml:"value,omitempty"`
		Limits      []limitText `yaml:"limits,omitempty"`
		Descriptors []ruleText  `yaml:"descriptors,omitempty"`
	}
	limitText struct {
		Name      string `yaml:"name"`
		Algorithm string `yaml:"algorithm"`
		Rate      string `yaml:"rate"`
		Count     string `yaml:"count,omitempty"`
		Response  string `yaml:"response,omitempty"`
		Enabled   *bool  `yaml:"enabled,omitempty"`
	}
)

// MarshalYAML writes a limit in one line.
func (l limitText) MarshalYAML() (any, error) {
	type plain limitText
	var n yaml.Node
	err := n.Encode(plain(l))
	n.Style = yaml.FlowStyle
	return &n, err
}

// written is a rule of a preset as a file writes it, with the names of responses.
func (r *rule) written(responses map[*Response]string) ruleText {
	t := ruleText{Key: r.key, Value: r.text, FirstOf: r.firstOf}
	if r.firstOf != nil {
		t.Key = ""
	}
	for _, s := range r.limits {
		l := limitText{Name: s.name, Algorithm: s.algorithm, Rate: rateText(s.limit.Requests, s.limit.Period), Response: responses[s.limit.Response]}
		if s.limit.CountSuccess {
			l.Count = "success"
		}
		if s.limit.Disabled {
			l.Enabled = new(bool)
		}
		t.Limits = append(t.Limits, l)
	}
	for _, below := range r.children {
		t.Descriptors = append(t.Descriptors, below.written(responses))
	}
	return t
}

// rateText writes a rate as [walker.rate] reads it.
func rateText(tokens int64, period time.Duration) string {
	for _, unit := range []string{"week", "day", "hour", "min", "s", "ms"} {
		switch length := periods[unit].length; {
		case period == length:
			return fmt.Sprintf("%d/%s", tokens, unit)
		case period%length == 0:
			return fmt.Sprintf("%d/%d%s", tokens, period/length, unit)
		}
	}
	return fmt.Sprintf("%d/%s", tokens, period) // no period is shorter than 1 ms
}

// indexOf is where a mapping has a field of its own, -1 if it has not.
func indexOf(n *yaml.Node, name string) int {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return i
		}
	}
	return -1
}

// child is the field of a mapping that has the kind, or a new one.
func child(n *yaml.Node, name string, kind yaml.Kind) *yaml.Node {
	if i := indexOf(n, name); i >= 0 {
		if of := n.Content[i+1]; resolved(of).Kind == kind {
			return resolved(of)
		}
		n.Content = slices.Delete(n.Content, i, i+2)
	}
	made := &yaml.Node{Kind: kind}
	n.Content = append(n.Content, word(name), made)
	return made
}

func word(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }
