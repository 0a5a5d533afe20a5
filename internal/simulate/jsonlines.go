package simulate

import (
	"bufio"
	"errors"
	"slices"
	"strconv"

	"github.com/weir-rls/weir/descriptors"
)

type jsonLines struct {
	*layout
	lines
	index  map[string]int  // of names
	inside map[string]bool // objects that hold some of them
	held   []descriptors.Descriptor
}

// JSONLines is a trace of one JSON object a line: Envoy's access log with a json_format,
// or descriptors as they were sent.
func JSONLines(f *Format, r *bufio.Reader) Source {
	j := &jsonLines{layout: newLayout(f), lines: lines{file: f.File, from: r}, index: map[string]int{}, inside: map[string]bool{}}
	for i, name := range j.names {
		j.index[name] = i
		for k := range name {
			if name[k] == '.' {
				j.inside[name[:k]] = true
			}
		}
	}
	return j
}

// Next implements [Source].
func (j *jsonLines) Next() (*Row, error) {
	text, err := j.next()
	if err != nil {
		return nil, err
	}
	row, bad := j.parse(text)
	if bad != nil {
		return nil, bad
	}
	return row, nil
}

func (j *jsonLines) parse(text string) (*Row, *BadLine) {
	clear(j.set)
	j.held = nil
	s := &scanner{text: text}
	err := s.object(func(key string) error { return j.member(s, "", key) })
	var bad *BadLine
	switch {
	case errors.As(err, &bad):
		return nil, bad
	case err != nil || s.space() != 0:
		return nil, j.bad(j.number, "it is no JSON object at character "+strconv.Itoa(min(s.at, len(text))+1), "write one object a line, as Envoy's json_format does; --trace-format csv reads CSV")
	}
	row, bad := j.row(j.number)
	if bad == nil && len(j.format.Map) == 0 {
		if j.held == nil {
			return nil, j.bad(j.number, "there are no descriptors in it", `write "descriptors", or say with --map of which fields they are made, as in --map user=x_user`)
		}
		row.Request.Descriptors = j.held
	}
	return row, bad
}

// member reads a field of an object, whose own name with a point is before.
func (j *jsonLines) member(s *scanner, before, key string) error {
	if before == "" && key == "descriptors" && len(j.format.Map) == 0 {
		return j.descriptors(s)
	}
	name := key
	if before != "" {
		name = before + key
	}
	i, wanted := j.index[name]
	if next := s.space(); next == '{' && j.inside[name] {
		return s.object(func(key string) error { return j.member(s, name+".", key) })
	} else if !wanted || next == '{' || next == '[' {
		if wanted && slices.Contains(j.names[j.meaningful:], name) {
			return j.bad(j.number, name+" is no text, number or word", "name a field within it, as in "+name+".field")
		}
		return s.skip()
	}
	text, present, err := s.scalar()
	j.has[i], j.set[i] = text, present
	return err
}

const descriptorRemedy = `write [{"key": "user", "value": "alice"}], or "user=alice"`

// descriptors reads the descriptors of a request: each a list of entries, or a text as
// weir explain takes it.
func (j *jsonLines) descriptors(s *scanner) error {
	j.held = []descriptors.Descriptor{}
	return s.array(func() error {
		var d descriptors.Descriptor
		switch s.space() {
		case '"':
			text, err := s.string()
			if err != nil {
				return err
			}
			var ok bool
			if d, ok = descriptors.ParseDescriptor(text); !ok {
				return j.bad(j.number, "descriptors: "+quote(text)+" is not KEY=VALUE,KEY=VALUE", descriptorRemedy)
			}
		case '[':
			if err := j.entries(s, &d); err != nil {
				return err
			}
		case '{': // as in Envoy's API
			err := s.object(func(key string) error {
				if key == "entries" {
					return j.entries(s, &d)
				}
				return s.skip()
			})
			if err != nil {
				return err
			}
		default:
			return j.bad(j.number, "descriptors: one of them is no list of entries", descriptorRemedy)
		}
		if len(d.Entries) == 0 {
			return j.bad(j.number, "descriptors: one of them has no entries", descriptorRemedy)
		}
		j.held = append(j.held, d)
		return nil
	})
}

func (j *jsonLines) entries(s *scanner, d *descriptors.Descriptor) error {
	return s.array(func() error {
		var e descriptors.Entry
		err := s.object(func(key string) (err error) {
			switch key {
			case "key":
				e.Key, _, err = s.scalar()
			case "value":
				e.Value, _, err = s.scalar()
			default:
				err = s.skip()
			}
			return err
		})
		if err == nil && e.Key == "" {
			err = j.bad(j.number, "descriptors: an entry has no key", descriptorRemedy)
		}
		d.Entries = append(d.Entries, e)
		return err
	})
}
