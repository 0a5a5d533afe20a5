package descriptors

import (
	"encoding/json"
	"strings"
	"testing"
)

// A body that loads as JSON is JSON whatever its variables hold, a header is one
// line, and a text without variables is itself.
func FuzzTemplate(f *testing.F) {
	f.Add(`{"a":"{message}"}`, `"`)
	f.Add(`{"a":{limit}}`, "1")
	f.Add(`["\{name}", "\\{name}", "\u00{name}"]`, "e9")
	f.Add(`{name}`, "null")
	f.Add("X: {name}", "\r\nY: z\xff")
	f.Fuzz(func(t *testing.T, text, value string) {
		var values Values
		for i := range values {
			values[i] = value
		}
		body, unknown := newTemplate(text, jsonForm, variableNames)
		if unknown != "" {
			if !strings.Contains(text, unknown) {
				t.Fatalf("%q is not in %q", unknown, text)
			}
			return
		}
		if out := body.Expand(&values); body.isJSON() && !json.Valid([]byte(out)) {
			t.Fatalf("%q with %q is no JSON: %q", text, value, out)
		}
		header, _ := newTemplate(text, headerForm, variableNames)
		if out := header.Expand(&values); oneLine(text) && !oneLine(out) {
			t.Fatalf("%q with %q has several lines: %q", text, value, out)
		}
		plain, _ := newTemplate(text, textForm, variableNames)
		for i, name := range variableNames {
			values[i] = "{" + name + "}"
		}
		if out := plain.Expand(&values); out != text {
			t.Fatalf("%q with its variables' own names is %q", text, out)
		}
	})
}

func TestForms_AreWhatTheySay(t *testing.T) {
	for name, r := range forms {
		if r.Body.form == jsonForm && !r.Body.isJSON() || r.Body.Empty() != r.Problem || !strings.Contains(r.ContentType, "/") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if len(forms) != len(formNames) || len(variableNames) != len(Values{}) {
		t.Errorf("the lists of names are not complete")
	}
}
