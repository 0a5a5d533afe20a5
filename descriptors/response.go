package descriptors

import (
	"mime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Response is what a refused caller sees.
type Response struct {
	ContentType string
	Body        Template
	Problem     bool     // instead of Body: a problem of RFC 9457, which depends on why a request was refused
	Message     Template // empty: a sentence of weir's own
	Language    Language // of that sentence
	Headers     []ResponseHeader
}

// ResponseHeader is a header of refusals.
type ResponseHeader struct {
	Name  string
	Value Template
}

const (
	plainType = "text/plain; charset=utf-8"

	maxBody         = 16 << 10
	maxResponses    = 1000
	maxHeaders      = 16
	maxHeaderBytes  = 1000
	maxMessageBytes = 2000
)

// forms are the responses that need no declaration. The openai form is that of
// the errors of OpenAI's API, which its client libraries parse.
var forms = map[string]*Response{
	"plain":   newForm(plainType, "{message}\n"),
	"openai":  newForm("application/json", `{"error":{"message":"{message}","type":"requests","code":"rate_limit_exceeded"}}`),
	"azure":   newForm("application/json", `{"error":"{message}","requestId":"{request_id}"}`),
	"problem": {ContentType: "application/problem+json", Problem: true},
}

var formNames = []string{"plain", "openai", "azure", "problem"}

func newForm(contentType, body string) *Response {
	r := &Response{ContentType: contentType}
	r.Body, _ = newTemplate(body, bodyForm(contentType), variableNames)
	return r
}

func bodyForm(contentType string) form {
	media, _, _ := mime.ParseMediaType(contentType)
	if media == "application/json" || strings.HasSuffix(media, "+json") {
		return jsonForm
	}
	return textForm
}

// responses reads the responses that a file declares.
func (w *walker) responses(f field) {
	if f.value.Kind != yaml.MappingNode {
		w.fail(f.value, "write NAME: {...} for each", "responses must be a mapping, not %s", kindOf(f.value))
		return
	}
	declared := map[string]field{}
	if w.collect(f.value, table{what: "responses"}, declared); len(declared) > maxResponses {
		w.fail(f.value, "", "%d responses, more than %d", len(declared), maxResponses)
		return
	}
	for name, d := range declared {
		switch {
		case forms[name] != nil:
			w.fail(d.key, "choose another name", "%s is the name of a response that is always there", name)
		case name == "" || len(name) > maxName || printable(name, maxName) != name:
			w.fail(d.key, "choose a shorter name without control characters", "%s cannot be the name of a response", quote(name))
		}
		w.declared[name] = w.declare(d)
	}
}

// declare reads one response.
func (w *walker) declare(d field) *Response {
	r := &Response{}
	*r = *forms["plain"]
	fields, ok := w.fields(d.value, responseFields)
	if !ok {
		return r
	}
	base, stated := fields["form"]
	if stated {
		word, _ := w.word(base, formNames)
		if known := forms[word]; known != nil {
			*r = *known
		}
	}
	body, own := fields["body"]
	contentType, typed := fields["content_type"]
	switch {
	case own && stated:
		w.fail(body.key, "keep one of the two", "the response has both form and body")
	case own:
		r.ContentType, r.Body = plainType, Template{}
		if typed {
			r.ContentType = w.contentType(contentType)
		}
		t, sound := w.template(body, bodyForm(r.ContentType), variableNames, maxBody)
		if r.Body = t; sound && t.form == jsonForm && !t.isJSON() {
			w.fail(body.value, "let variables stand inside of strings", "the body is no JSON, which its content type %s says", quote(r.ContentType))
		}
	case typed:
		w.fail(contentType.key, "state a body, or remove it", "the response has a content_type and no body")
	}
	if m, ok := fields["message"]; ok {
		r.Message, _ = w.template(m, textForm, variableNames[:MessageVariable], maxMessageBytes)
	}
	if l, ok := fields["language"]; ok {
		word, _ := w.word(l, languageNames)
		r.Language = Language(max(0, slices.Index(languageNames, word)))
	}
	if h, ok := fields["headers"]; ok {
		r.Headers = w.headers(h)
	}
	return r
}

// template reads a text with variables.
func (w *walker) template(f field, form form, known []string, most int) (t Template, sound bool) {
	s, ok := w.str(f)
	if !ok {
		return Template{}, false
	}
	t, unknown := newTemplate(s, form, known)
	name := printable(f.key.Value, maxShown)
	if form == headerForm {
		name = "header " + name
	}
	switch {
	case s == "":
		w.fail(f.value, "remove it, or write one", "the %s is empty", name)
	case len(s) > most:
		w.fail(f.value, "", "the %s has %d bytes, more than %d", name, len(s), most)
	case unknown != "":
		w.fail(f.value, "known here: {"+strings.Join(known, "}, {")+"}", "the %s has the unknown variable %s", name, printable(unknown, maxShown))
	default:
		return t, true
	}
	return t, false
}

func (w *walker) contentType(f field) string {
	s, ok := w.str(f)
	if media, _, err := mime.ParseMediaType(s); ok && (err != nil || !strings.Contains(media, "/") || len(s) > maxName || !oneLine(s)) {
		w.fail(f.value, "write one, as in application/json", "%s is not a content type", quote(s))
	}
	return s
}

// taken are the headers that are weir's or Envoy's to set: of another value the
// response would be cut, or say two things.
var taken = []string{
	"connection", "content-length", "content-type", "host", "keep-alive", "proxy-connection", "retry-after", "te", "trailer",
	"transfer-encoding", "upgrade",
}

// headers reads the headers of a response.
func (w *walker) headers(f field) []ResponseHeader {
	if f.value.Kind != yaml.MappingNode {
		w.fail(f.value, "write NAME: VALUE pairs", "headers must be a mapping, not %s", kindOf(f.value))
		return nil
	}
	pairs := map[string]field{}
	if w.collect(f.value, table{what: "headers"}, pairs); len(pairs) > maxHeaders {
		w.fail(f.value, "", "%d headers, more than %d", len(pairs), maxHeaders)
	}
	var headers []ResponseHeader
	for name, pair := range pairs {
		switch {
		case !isToken(name) || len(name) > maxName:
			w.fail(pair.key, "use letters, digits and hyphens", "%s is not the name of a header", quote(name))
		case slices.Contains(taken, strings.ToLower(name)):
			w.fail(pair.key, "remove it", "the header %s is not a response's to set", name)
		}
		if pair.value.Kind == yaml.ScalarNode && !oneLine(pair.value.Value) {
			w.fail(pair.value, "write it in one line", "the value of %s has a control character", quote(name))
		}
		value, _ := w.template(pair, headerForm, variableNames, maxHeaderBytes)
		headers = append(headers, ResponseHeader{name, value})
	}
	slices.SortFunc(headers, func(a, b ResponseHeader) int { return strings.Compare(a.Name, b.Name) })
	return headers
}

// isToken tells whether s is a token of RFC 9110, 5.6.2.
func isToken(s string) bool {
	return s != "" && strings.Trim(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func oneLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// response reads the name of a response: one that is always there, or one that
// the file declares.
func (w *walker) response(f field) *Response {
	name := f.value.Value
	if f.value.Kind == yaml.ScalarNode && f.value.Tag == "!!str" {
		if r := forms[name]; r != nil {
			return r
		}
		if r := w.declared[name]; r != nil {
			return r
		}
	}
	w.fail(f.value, "use one of "+strings.Join(formNames, ", ")+", or one that the file declares under responses", "%s cannot be %s", f.key.Value, kindOf(f.value))
	return forms["plain"]
}
