package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxBody bounds what a request may send to any page, in bytes.
const maxBody = 1 << 20

// readBody reads the whole of a request's body, which must be called JSON: what
// a form in a browser can send is not, so that no other page can make one send
// it.
func readBody(r *http.Request) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, &problem{
			Status: http.StatusUnsupportedMediaType, Field: "Content-Type",
			Detail: "the body must be JSON and say so", Remedy: "send the header Content-Type: application/json",
		}
	}
	body, err := io.ReadAll(r.Body) // which Pages bounds
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body has more than %d bytes", large.Limit)}
	case err != nil:
		return nil, bad("", "the body cannot be read: "+err.Error(), "")
	}
	return body, nil
}

// fields are those of a JSON object, taken one by one. The first fault is kept,
// and answered at the end.
type fields struct {
	path  string // of the object within the body, with a dot behind it; empty for the body
	of    map[string]json.RawMessage
	known []string // those that were asked for
	fault *problem
}

// parse reads a body that is one JSON object.
func parse(body []byte) *fields {
	f := &fields{}
	if !utf8.Valid(body) {
		f.fault = bad("", "the body is not UTF-8", "")
		return f
	}
	var whole json.RawMessage // also finds what follows the object
	if err := json.Unmarshal(body, &whole); err != nil {
		where := ""
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			where = fmt.Sprintf(" at byte %d", syntax.Offset)
		}
		f.fault = bad("", "the body is no JSON"+where+": "+err.Error(), `send one object, as in {"rate": "10/s"}`)
		return f
	}
	f.object(body)
	return f
}

// object takes in raw, which is sound JSON, if it is an object.
func (f *fields) object(raw []byte) {
	f.of = map[string]json.RawMessage{}
	if kindOf(raw) != "an object" {
		what := strings.TrimSuffix(f.path, ".")
		f.fail(bad(what, orBody(what)+" must be an object, not "+kindOf(raw), ""))
		return
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	_, _ = d.Token()
	for d.More() {
		token, err := d.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if err = errors.Join(err, d.Decode(&value)); err != nil {
			f.fail(bad(f.path+shown(name), err.Error(), ""))
			return
		}
		if _, twice := f.of[name]; twice {
			f.fail(bad(f.path+shown(name), shown(name)+" is there twice", "send it once"))
			return
		}
		f.of[name] = value
	}
}

func orBody(field string) string {
	if field == "" {
		return "the body"
	}
	return field
}

// shown is a name that a caller chose, cut to what a message can hold.
func shown(name string) string {
	const most = 100
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "..."
}

func (f *fields) fail(p *problem) {
	if f.fault == nil {
		f.fault = p
	}
}

// take is the value of a field, nil if it is left out.
func (f *fields) take(name string) json.RawMessage {
	f.known = append(f.known, name)
	return f.of[name]
}

// text reads a text that is not empty, empty if it is left out.
func (f *fields) text(name string) string {
	s := f.anyText(name)
	if s == "" && f.of[name] != nil {
		f.fail(bad(f.path+name, f.path+name+" is empty", "leave it out, or write one"))
	}
	return s
}

// anyText reads a text, empty if it is left out.
func (f *fields) anyText(name string) (s string) {
	if raw := f.take(name); raw != nil {
		if kindOf(raw) != "a text" {
			f.fail(bad(f.path+shown(name), f.path+shown(name)+" must be a text, not "+kindOf(raw), ""))
			return ""
		}
		_ = json.Unmarshal(raw, &s)
	}
	return s
}

// boolean reads true or false, nil if it is left out.
func (f *fields) boolean(name string) *bool {
	raw := f.take(name)
	if raw == nil {
		return nil
	}
	value, err := strconv.ParseBool(string(raw))
	if err != nil || kindOf(raw) != "a boolean" {
		f.fail(bad(f.path+name, f.path+name+" must be true or false, not "+kindOf(raw), ""))
		return nil
	}
	return &value
}

// integer reads a whole number from least to most, nil if it is left out.
func (f *fields) integer(name string, least, most int64) *int64 {
	raw := f.take(name)
	if raw == nil {
		return nil
	}
	n, fault := integer(f.path+name, raw, least, most)
	if fault != nil {
		f.fail(fault)
		return nil
	}
	return &n
}

// integer reads a whole number as it is written in digits: 1e3 and 1.0 are not
// guessed at.
func integer(field string, raw []byte, least, most int64) (int64, *problem) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	digits := strings.Trim(string(raw), "0123456789")
	switch {
	case kindOf(raw) != "a number" || digits != "" && digits != "-":
		what := kindOf(raw)
		if what == "a number" {
			what = "a number with a point or an exponent"
		}
		return 0, bad(field, field+" must be a whole number, not "+what, "write it in digits, without quotes, point or exponent")
	case err != nil || n < least || n > most:
		return 0, bad(field, fmt.Sprintf("%s must be from %d to %d", field, least, most), "")
	}
	return n, nil
}

// duration reads a time such as 1h30m, 0 if it is left out.
func (f *fields) duration(name string) time.Duration {
	text := f.text(name)
	if f.of[name] == nil || f.fault != nil {
		return 0
	}
	d, err := parseDuration(f.path+name, text)
	if err != nil {
		f.fail(err)
	}
	return d
}

func parseDuration(field, text string) (time.Duration, *problem) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, bad(field, field+" must be a time above 0, with its unit", "write it as in 500ms, 30s or 1h30m")
	}
	return d, nil
}

// nested is the object of a field, nil if it is left out.
func (f *fields) nested(name string) *fields {
	raw := f.take(name)
	if raw == nil {
		return nil
	}
	inner := &fields{path: f.path + name + "."}
	inner.object(raw)
	return inner
}

// list are the values of a field that is a list, nil if it is left out.
func (f *fields) list(name string) (values []json.RawMessage) {
	if raw := f.take(name); raw != nil {
		if err := json.Unmarshal(raw, &values); err != nil || kindOf(raw) != "a list" {
			f.fail(bad(f.path+shown(name), f.path+shown(name)+" must be a list, not "+kindOf(raw), ""))
		}
	}
	return values
}

// join takes over the fault of an object within.
func (f *fields) join(inner *fields) {
	if inner.fault != nil {
		f.fail(inner.fault)
	}
}

// end answers the first fault; a field that nobody asked for is one.
func (f *fields) end() error {
	if f.fault == nil {
		for name := range f.of {
			if !contains(f.known, name) {
				f.fail(bad(f.path+shown(name), "the field "+shown(name)+" is unknown here", "known are "+strings.Join(f.known, ", ")))
			}
		}
	}
	if f.fault == nil {
		return nil
	}
	return f.fault
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// kindOf is what a JSON value is, for messages.
func kindOf(raw []byte) string {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a text"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
