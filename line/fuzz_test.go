package line

import (
	"strings"
	"testing"
)

// FuzzParse: any line is a request whose fields can be sent on as they are, or an
// answer of one line.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "STOP", "CHECK r", "CHECK r b", "INIT r b 4 4000", "INIT r b 4 0", "INIT r b -9223372036854775808 1", "\x00 \xff", "INIT r b 4 4000 \r"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text, _, _ = strings.Cut(text, "\n")
		r, fault := parse(text)
		if strings.ContainsAny(fault, "\r\n") || len(fault) > len(text)+100 {
			t.Errorf("%q is answered %q", text, fault)
		}
		if fault != "" {
			return
		}
		switch r.verb {
		case stop:
		case check:
			if r.id == "" || r.bucket == "" {
				t.Errorf("%q is understood as %+v", text, r)
			}
		case initBucket:
			if r.id == "" || r.bucket == "" || r.maxTokens < 1 || r.refillMillis < 1 {
				t.Errorf("%q is understood as %+v", text, r)
			}
		default:
			t.Errorf("%q is understood as %+v without a fault", text, r)
		}
	})
}
