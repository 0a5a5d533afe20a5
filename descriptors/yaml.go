package descriptors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFileSize bounds a rule file. Its node tree takes some twenty times as much
// memory while it is read.
const maxFileSize = 16 << 20

// readYAML turns a file into its one document's root node, or says why it
// cannot, with the place.
func readYAML(t *text) (*yaml.Node, *Fault) {
	if f := checkBytes(t); f != nil {
		return nil, f
	}
	loader, err := yaml.NewLoader(bytes.NewReader(t.content))
	if err != nil {
		return nil, syntaxFault(t, err)
	}
	var first, second yaml.Node
	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF):
		return nil, emptyFault(t)
	case err != nil:
		return nil, syntaxFault(t, err)
	case len(first.Content) == 0 || first.Content[0].Kind == yaml.ScalarNode && first.Content[0].Tag == "!!null":
		return nil, emptyFault(t)
	}
	switch err := loader.Load(&second); {
	case t.dialect == Reference: // which reads no further
	case err == nil:
		f := at(t, &second).fault(Error, "a second document begins here", "a rule file holds one: put each domain into a file of its own")
		return nil, &f
	case !errors.Is(err, io.EOF):
		return nil, syntaxFault(t, err)
	}
	return first.Content[0], nil
}

func at(t *text, n *yaml.Node) place {
	return place{text: t, line: int32(n.Line), column: int32(n.Column)}
}

func emptyFault(t *text) *Fault {
	f := place{text: t, line: 1, column: 1}.fault(Error, "the file is empty", `it needs at least "domain: NAME"`)
	return &f
}

// checkBytes finds what the YAML library would report without a place.
func checkBytes(t *text) *Fault {
	if len(t.content) > maxFileSize {
		f := place{text: t}.fault(Error, fmt.Sprintf("the file has %d bytes, more than %d", len(t.content), maxFileSize),
			"split the domain over several files and merge them")
		return &f
	}
	t.content = bytes.TrimPrefix(t.content, []byte("\ufeff"))
	p := place{text: t, line: 1, column: 1}
	for rest := t.content; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			f := p.fault(Error, fmt.Sprintf("the byte 0x%02x is not UTF-8", rest[0]), "save the file as UTF-8")
			return &f
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f {
			f := p.fault(Error, fmt.Sprintf("the control character %U stands in the file", r),
				fmt.Sprintf(`remove it, or write "\x%02x" in a text in double quotes`, r))
			return &f
		}
		if n := breakLength(rest); n > 0 {
			p.line, p.column, rest = p.line+1, 1, rest[n:]
			continue
		}
		p.column++
		rest = rest[size:]
	}
	return nil
}

// syntaxFault places an error of the YAML library.
func syntaxFault(t *text, err error) *Fault {
	p := place{text: t, line: 1, column: 1}
	message, remedy := printable(err.Error(), maxShown), ""
	if le, ok := errors.AsType[*yaml.LoadError](err); ok {
		message = printable(le.Message, maxShown)
		switch {
		case le.ContextMark.Line > 0 && strings.Contains(le.Message, "end of stream"):
			// Where the file ends is no news; what is not closed began here.
			p.line, p.column = int32(le.ContextMark.Line), int32(le.ContextMark.Column)
		case le.Mark.Line > 0:
			p.line, p.column = int32(le.Mark.Line), int32(le.Mark.Column)
		case le.ContextMark.Line > 0:
			p.line, p.column = int32(le.ContextMark.Line), int32(le.ContextMark.Column)
		}
		if le.ContextMsg != "" {
			message += " " + le.ContextMsg
		}
		if le.ContextMark.Line > 0 && int32(le.ContextMark.Line) < p.line {
			message += fmt.Sprintf(" that began at %d:%d", le.ContextMark.Line, le.ContextMark.Column)
		}
		if line := t.lineAt(min(int(p.line), t.lines())); bytes.ContainsRune(line[:len(line)-len(bytes.TrimLeft(line, " \t"))], '\t') {
			remedy = "indent with spaces, YAML does not allow tabs"
		}
	}
	f := p.fault(Error, "not YAML: "+message, remedy)
	return &f
}
