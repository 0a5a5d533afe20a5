package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Whatever a client sends, an event is small, and its text is valid.
func TestM22_AnEventIsBoundedWhateverAClientSends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringN(0, -1, 5000), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 3000), func(b []byte) string { return string(b) }))
		e := Event{Domain: text.Draw(t, "domain"), Limit: text.Draw(t, "limit"), Text: text.Draw(t, "text"), RequestID: text.Draw(t, "id"), Fields: map[string]string{}}
		for i := range rapid.IntRange(0, 50).Draw(t, "pieces") {
			e.Entries = append(e.Entries, Entry{text.Draw(t, "key"), text.Draw(t, "value")})
			e.Fields[fmt.Sprint(i)+text.Draw(t, "name")] = text.Draw(t, "field")
		}
		e = e.bounded()
		size := 0
		check := func(s string, most int) {
			if len(s) > 3*most || !utf8.ValidString(s) {
				t.Fatalf("%d bytes: %q", len(s), s)
			}
			size += len(s)
		}
		for _, s := range []string{e.Domain, e.Limit, e.RequestID} {
			check(s, maxName)
		}
		check(e.Text, maxText)
		for _, entry := range e.Entries {
			check(entry.Key, maxName)
			check(entry.Value, maxName)
		}
		for name, value := range e.Fields {
			check(name, maxName)
			check(value, maxName)
		}
		if len(e.Entries) > maxPieces || len(e.Fields) > maxPieces {
			t.Fatalf("%d entries, %d fields", len(e.Entries), len(e.Fields))
		}
	})
}

func TestCutIsAtMostWhatFitsAndValid(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "abcd": "abc", "a\xff": "a\uFFFD", "ab您": "ab\uFFFD"} {
		if got := cut(text, 3); got != want {
			t.Errorf("%q is cut to %q, want %q", text, got, want)
		}
	}
}

// What fits is told as it is, and the form is the documented one.
func TestAnEventsForm(t *testing.T) {
	e := Event{
		Kind: LimitHit, Domain: "d", Limit: "per-user", Text: "it\nsays", RequestID: "r-1", Suppressed: 3, Dropped: 4,
		Entries: []Entry{{"user", "u\x00"}, {"user", "v"}}, Fields: map[string]string{"a": "b"},
	}
	form, err := json.Marshal(e.bounded())
	want := `{"time":"0001-01-01T00:00:00Z","kind":"limit_hit","domain":"d","limit":"per-user","text":"it\nsays",` +
		`"entries":[{"key":"user","value":"u\u0000"},{"key":"user","value":"v"}],"request_id":"r-1","fields":{"a":"b"},"suppressed":3,"dropped":4}`
	if err != nil || string(form) != want {
		t.Errorf("%v\n%s, want\n%s", err, form, want)
	}
	if form, _ := json.Marshal(Event{Kind: RulesReloaded}.bounded()); strings.Count(string(form), ":") != 4 { // time has two
		t.Errorf("%s", form)
	}
}

// An event that waits in a queue is not changed by who told it.
func TestAnEventSharesNothingWithWhoTellsIt(t *testing.T) {
	entries, fields := []Entry{{"k", "v"}}, map[string]string{"a": "b"}
	e := Event{Entries: entries, Fields: fields}.bounded()
	entries[0].Value, fields["a"] = "x", "x"
	if e.Entries[0].Value != "v" || e.Fields["a"] != "b" {
		t.Errorf("%+v", e)
	}
}
