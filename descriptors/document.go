package descriptors

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Document is a file of YAML or JSON that another room reads, of which faults are
// told as of rule files.
type Document struct {
	text  *text
	Roots []*yaml.Node // of the documents in it that are not empty
}

// ReadDocument reads a file. Its fault, if it has one, has no ID.
func ReadDocument(name string) (*Document, *Fault) {
	name = filepath.Clean(name)
	content, err := readBounded(name, nil)
	if err != nil {
		f := fileFault(name, err)
		return nil, &f
	}
	return ParseDocument(name, content)
}

// ParseDocument reads the content of a file.
func ParseDocument(name string, content []byte) (*Document, *Fault) {
	d := &Document{text: newText(name, content)}
	if f := checkBytes(d.text); f != nil {
		return nil, f
	}
	loader, err := yaml.NewLoader(bytes.NewReader(d.text.content))
	if err != nil {
		return nil, syntaxFault(d.text, err)
	}
	for {
		var n yaml.Node
		switch err := loader.Load(&n); {
		case errors.Is(err, io.EOF) && len(d.Roots) == 0:
			f := place{text: d.text, line: 1, column: 1}.fault(Error, "the file is empty", "")
			return nil, &f
		case errors.Is(err, io.EOF):
			return d, nil
		case err != nil:
			return nil, syntaxFault(d.text, err)
		}
		if len(n.Content) > 0 && n.Content[0].Tag != "!!null" {
			d.Roots = append(d.Roots, n.Content[0])
		}
	}
}

// Tell makes a fault at a node. told is false where the file says beside it that it
// is meant.
func (d *Document) Tell(n *yaml.Node, s Severity, id, message, remedy string) (f Fault, told bool) {
	return at(d.text, n).tell(s, id, message, remedy)
}

// Place is where n stands, as other messages name it.
func (d *Document) Place(n *yaml.Node) string { return at(d.text, n).String() }

// Name is the file's name, as given.
func (d *Document) Name() string { return d.text.file }

// allowed is what a comment begins with that names the faults which are meant, on
// their line or alone on the line above.
const allowed = "# weir:allow "

func (p place) tell(s Severity, id, message, remedy string) (f Fault, told bool) {
	f = p.fault(s, printable(message, maxMessage), printable(remedy, maxMessage))
	f.ID = id
	return f, !p.allows(id)
}

// maxMessage bounds a text that is made of what several files say, in characters.
const maxMessage = 1000

func (p place) allows(id string) bool {
	if p.line < 1 || int(p.line) > p.text.lines() {
		return false
	}
	if mentions(string(p.text.lineAt(int(p.line))), id) {
		return true
	}
	if p.line == 1 {
		return false
	}
	above := strings.TrimSpace(string(p.text.lineAt(int(p.line) - 1)))
	return strings.HasPrefix(above, "#") && mentions(above, id)
}

// mentions tells whether a line allows a fault.
func mentions(line, id string) bool {
	_, ids, found := strings.Cut(line, allowed)
	return found && slices.Contains(strings.FieldsFunc(ids, func(r rune) bool { return r == ' ' || r == ',' }), id)
}
