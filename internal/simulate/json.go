package simulate

import (
	"encoding/json"
	"errors"
	"strings"
)

// scanner reads JSON without making anything of what is not asked for: a trace is a
// million lines of which a few fields matter.
type scanner struct {
	text  string
	at    int
	depth int
}

// deepest is how deep objects and arrays may stand in one another.
const deepest = 100

var errJSON = errors.New("not JSON")

// space skips it, and tells what follows, 0 at the end.
func (s *scanner) space() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take skips space and one character, if it is the next.
func (s *scanner) take(c byte) bool {
	if s.space() != c {
		return false
	}
	s.at++
	return true
}

// string reads a string.
func (s *scanner) string() (string, error) {
	if !s.take('"') {
		return "", errJSON
	}
	start, plain := s.at, true
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			if plain {
				return s.text[start : s.at-1], nil
			}
			var text string
			err := json.Unmarshal([]byte(s.text[start-1:s.at]), &text)
			return text, err
		case c == '\\':
			plain = false
			s.at++
		case c < ' ':
			return "", errJSON
		}
	}
	return "", errJSON
}

// scalar reads a string, a number or a word. null is absent.
func (s *scanner) scalar() (text string, present bool, err error) {
	if s.space() == '"' {
		text, err = s.string()
		return text, true, err
	}
	start := s.at
	for s.at < len(s.text) && !strings.ContainsRune(" \t\r\n,]}:[{\"", rune(s.text[s.at])) {
		s.at++
	}
	text = s.text[start:s.at]
	if !json.Valid([]byte(text)) {
		return "", false, errJSON
	}
	return text, text != "null", nil
}

// skip reads a value of which nothing is wanted.
func (s *scanner) skip() error {
	switch s.space() {
	case '{':
		return s.object(func(string) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	}
	_, _, err := s.scalar()
	return err
}

// object reads an object, of which member reads each value.
func (s *scanner) object(member func(key string) error) error {
	if !s.take('{') || s.depth == deepest {
		return errJSON
	}
	s.depth++
	defer func() { s.depth-- }()
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return errJSON
		}
		key, err := s.string()
		if err != nil || !s.take(':') {
			return errJSON
		}
		if err := member(key); err != nil {
			return err
		}
	}
	return nil
}

// array reads an array, of which element reads each value.
func (s *scanner) array(element func() error) error {
	if !s.take('[') || s.depth == deepest {
		return errJSON
	}
	s.depth++
	defer func() { s.depth-- }()
	for first := true; !s.take(']'); first = false {
		if !first && !s.take(',') {
			return errJSON
		}
		if err := element(); err != nil {
			return err
		}
	}
	return nil
}
