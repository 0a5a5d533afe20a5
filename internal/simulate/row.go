package simulate

import (
	"fmt"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// Row is one request of a trace.
type Row struct {
	At      int64 // when it was asked, in microseconds since the epoch
	Request descriptors.Request
	Line    int64 // of the trace, counted from 1; of what is generated, the number of the request

	Status    int           // of its response
	HasStatus bool          // else nobody knows it
	Duration  time.Duration // until its response had ended
	HasTime   bool          // else nobody knows it
}

// Source is a trace. Next answers io.EOF after the last row, a [*BadLine] of a line
// that is no request and behind which it goes on, and else what ended it. A row belongs
// to its caller.
type Source interface{ Next() (*Row, error) }

// BadLine is a line of a trace that is no request.
type BadLine struct {
	File   string
	Line   int64
	Why    string
	Remedy string
}

// Error names the place, the fault and what to do.
func (b *BadLine) Error() string {
	text := fmt.Sprintf("%s:%d: %s", b.File, b.Line, b.Why)
	if b.Remedy != "" {
		text += ": " + b.Remedy
	}
	return text
}

// timeOf reads a time: RFC 3339, or a number of seconds, milliseconds, microseconds or
// nanoseconds since the epoch, which differ by a factor of a thousand each: those of this
// century can be told apart.
func timeOf(text string) (micros int64, ok bool) {
	if n, fraction, isNumber := number(text); isNumber {
		switch {
		case n < 0:
			return 0, false
		case n < 1e11:
			return n*1e6 + fraction, true
		case n < 1e14:
			return n*1e3 + fraction/1e3, true
		case n < 1e17:
			return n, true
		}
		return n / 1e3, true
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMicro(), true
		}
	}
	return 0, false
}

// number reads a decimal number: what stands before the point, and what stands behind it
// in millionths.
func number(text string) (whole, millionths int64, ok bool) {
	digits, scale, point := 0, int64(1e6), false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.' && !point && i > 0:
			point = true
		case c < '0' || c > '9' || whole > 9e17:
			return 0, 0, false
		case point:
			scale /= 10
			millionths += int64(c-'0') * scale
		default:
			whole, digits = whole*10+int64(c-'0'), digits+1
		}
	}
	return whole, millionths, digits > 0
}

// durationOf reads how long something took: 120ms, or milliseconds, as Envoy's
// %DURATION% tells them.
func durationOf(text string) (time.Duration, bool) {
	if whole, millionths, ok := number(text); ok && whole < 1e12 {
		return time.Duration(whole)*time.Millisecond + time.Duration(millionths), true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

const timeRemedy = "write RFC 3339, as in 2026-01-31T12:00:00.250Z (Envoy's %START_TIME%), or seconds since 1970"
