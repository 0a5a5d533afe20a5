package descriptors

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// Variable is what a response's texts can say of a refusal; in a rule file its
// name stands in braces.
type Variable uint8

const (
	LimitVariable      Variable = iota // {limit}: how many requests the limit admits in its period
	PeriodVariable                     // {period}: in words, "minute" or "2 weeks"
	BurstVariable                      // {burst}: what the limit's bucket can hold
	NameVariable                       // {name}: of the limit that refused, else "unmatched", "excess" or "overload"
	RetryAfterVariable                 // {retry_after}: in whole seconds, empty where waiting does not help
	RequestIDVariable                  // {request_id}: the passive entry's value, empty if there is none
	MessageVariable                    // {message}: not in a message itself
)

var variableNames = []string{"limit", "period", "burst", "name", "retry_after", "request_id", "message"}

// Values are what the variables of a template stand for, by [Variable].
type Values [MessageVariable + 1]string

// Template is a text with variables. The zero value is an empty text.
type Template struct {
	parts []part
	form  form
}

// part is a text, and the variable behind it if there is one.
type part struct {
	text     string
	variable Variable
	followed bool
}

// form says what a value must be made of to be safe where it stands.
type form uint8

const (
	textForm   form = iota
	jsonForm        // inside a string of JSON
	headerForm      // a header's value
)

// Empty tells that the template has no text at all.
func (t *Template) Empty() bool { return len(t.parts) == 0 }

// Expand puts values in place. Whatever they hold, JSON stays JSON and a header
// stays one line.
func (t *Template) Expand(v *Values) string {
	size := 0
	for i := range t.parts {
		size += len(t.parts[i].text) + len(v[t.parts[i].variable])
	}
	var b strings.Builder
	b.Grow(size)
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.followed {
			b.WriteString(t.form.safe(v[p.variable]))
		}
	}
	return b.String()
}

func (f form) safe(s string) string {
	switch f {
	case jsonForm:
		quoted, err := json.Marshal(s)
		if err != nil { // a string always marshals
			return ""
		}
		return string(quoted[1 : len(quoted)-1])
	case headerForm:
		return strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, s)
	}
	return s
}

var placeholder = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_]*\}`)

// newTemplate reads a text with the first of the variables, as many as known. It
// answers the placeholder it does not know, if there is one.
func newTemplate(s string, f form, known []string) (t Template, unknown string) {
	t.form = f
	rest := s
	for rest != "" {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			t.parts = append(t.parts, part{text: rest})
			break
		}
		i := slices.Index(known, rest[at[0]+1:at[1]-1])
		if i < 0 {
			return t, rest[at[0]:at[1]]
		}
		t.parts = append(t.parts, part{rest[:at[0]], Variable(i), true})
		rest = rest[at[1]:]
	}
	return t, ""
}

// isJSON tells whether the template is JSON whatever its variables hold: it is
// with a letter in place of each, which only the inside of a string admits, and
// there not behind a backslash.
func (t *Template) isJSON() bool {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.followed {
			b.WriteByte('x')
		}
	}
	return json.Valid([]byte(b.String()))
}

// NewMessage reads a message: a text with any variable but {message}. It panics
// on another one; a rule file's messages come checked, with their [Response].
func NewMessage(s string) Template {
	t, unknown := newTemplate(s, textForm, variableNames[:MessageVariable])
	if unknown != "" {
		panic("a message with the unknown variable " + unknown)
	}
	return t
}
