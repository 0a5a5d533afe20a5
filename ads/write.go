package ads

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// maxWritten bounds the rule files of one response, in bytes: a few bytes of a message
	// can be a line of its file.
	maxWritten = 64 << 20
	// maxDepth bounds the nesting that is written: rule files are refused that have less.
	maxDepth = 110
)

// writer writes a message as the rule file that says the same, a field on each line.
type writer struct {
	out    []byte
	most   int   // bytes of out
	traced bool  // rows are wanted
	rows   []row // of each line
}

// spot is where a message is written.
type spot struct {
	indent, depth int
	row           int // of the list or field that it is in, -1: none
	nth           int // of the list's items, -1: it is none
}

// config writes a RateLimitConfig.
func (w *writer) config(b []byte) error {
	v, err := decode(b, &configShape)
	if err != nil {
		return err
	}
	v.of[1] = value{} // what it is called does not stand in the file
	return w.fields(&v, &configShape, spot{row: -1, nth: -1})
}

// fields writes the fields of a message, of an item of a list the first one behind the
// list's dash.
func (w *writer) fields(v *values, s *shape, at spot) error {
	first := len(w.rows)
	dash := at.nth >= 0
	begin := func(name string) {
		w.trace(row{name: name, spot: at, first: first, key: string(v.of[1].bytes)})
		prefix := strings.Repeat(" ", at.indent)
		if dash {
			prefix, dash = prefix[2:]+"- ", false
		}
		w.out = append(append(append(w.out, prefix...), name...), ':')
	}
	for n, f := range s {
		if !v.of[n].stated(f, v, s) {
			continue
		}
		begin(f.name)
		if err := w.value(&v.of[n], f, at); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	for _, n := range v.unknown {
		begin("field_" + strconv.Itoa(int(n))) // which rule files do not have, so it is refused
		w.line("true")
	}
	if dash {
		w.trace(row{spot: at, first: first})
		w.out = append(append(w.out, strings.Repeat(" ", at.indent-2)...), "- {}\n"...)
	}
	if len(w.out) > w.most {
		return fmt.Errorf("the rules of the response are more than %d bytes", maxWritten)
	}
	return nil
}

// stated tells whether a field of a message says anything. What protobuf leaves out is
// 0, so a limit without requests_per_unit is one of none, unless it is unlimited.
func (v *value) stated(f field, all *values, s *shape) bool {
	switch f.kind {
	case text:
		return len(v.bytes) > 0
	case list:
		return len(v.list) > 0
	case flag, unit:
		return v.number != 0
	case number:
		return v.number != 0 || s == &policyShape && all.of[3].number == 0
	}
	return v.present
}

// value writes what follows the name of a field.
func (w *writer) value(v *value, f field, at spot) error {
	switch f.kind {
	case text:
		w.line(strconv.QuoteToASCII(string(v.bytes)))
	case flag:
		w.line("true")
	case number:
		w.line(strconv.FormatUint(uint64(uint32(v.number)), 10))
	case unit:
		w.line(unitWord(v.number))
	case free:
		metadata, err := flow(v.bytes)
		w.line(metadata)
		return err
	case single:
		return w.message(v.bytes, f.of, at)
	case list:
		return w.list(v.list, f.of, at)
	}
	return nil
}

func (w *writer) line(text string) { w.out = append(append(append(w.out, ' '), text...), '\n') }

// unitWord is the word of a unit. The number of none is refused by the rule file's reader.
func unitWord(n uint64) string {
	if e := int32(n); e > 0 && int(e) < len(units) {
		return units[e]
	}
	return strconv.Itoa(int(int32(n)))
}

func (w *writer) message(b []byte, s *shape, at spot) error {
	v, err := decode(b, s)
	if err != nil {
		return err
	}
	before := len(w.out)
	w.out = append(w.out, '\n')
	if err := w.fields(&v, s, spot{at.indent + 2, at.depth, len(w.rows) - 1, -1}); err != nil {
		return err
	}
	if len(w.out) == before+1 {
		w.out = w.out[:before]
		w.line("{}")
	}
	return nil
}

func (w *writer) list(items [][]byte, s *shape, at spot) error {
	if at.depth >= maxDepth {
		w.line("[]")
		return nil
	}
	w.out = append(w.out, '\n')
	above := len(w.rows) - 1
	for i, b := range items {
		v, err := decode(b, s)
		if err == nil {
			err = w.fields(&v, s, spot{at.indent + 2, at.depth + 1, above, i})
		}
		if err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

// nameOf is the name of a RateLimitConfig, also of one that cannot be read behind it.
func nameOf(b []byte) string {
	for len(b) > 0 {
		n, wire, size := protowire.ConsumeTag(b)
		if size < 0 {
			return ""
		}
		length := protowire.ConsumeFieldValue(n, wire, b[size:])
		if length < 0 {
			return ""
		}
		if n == 1 && wire == protowire.BytesType {
			name, _ := protowire.ConsumeString(b[size:])
			return name
		}
		b = b[size+length:]
	}
	return ""
}
