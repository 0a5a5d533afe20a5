package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-rls/weir/descriptors"
)

// Format says what the fields of a trace mean.
type Format struct {
	File      string // as messages name the trace
	Domain    string // of requests that name none
	TimeField string // empty: one of timeFields
	// Map is how descriptors are made of fields: an entry's value is the field that is
	// its value, or, if that begins with =, what follows. A descriptor of which a field is
	// absent is left out, as Envoy does with a header that a request lacks. Empty: a trace
	// holds descriptors, or every field is one.
	Map []descriptors.Descriptor
}

// names of fields, the best first.
var (
	timeFields     = []string{"time", "start_time", "timestamp", "@timestamp"}
	statusFields   = []string{"status", "response_code"}
	durationFields = []string{"duration", "duration_ms"}
)

// Fields with a meaning of their own.
const (
	timeAt = iota
	statusAt
	durationAt
	domainAt
	hitsAt
	flagsAt
	meanings
)

// layout is where a trace has what of a request.
type layout struct {
	format     *Format
	names      []string // of the fields that are read, first those with a meaning
	meaningful int
	of         [][]string // by meaning: the names that it may have
	has        []string   // the values of a line, by names
	set        []bool
}

func newLayout(f *Format) *layout {
	l := &layout{format: f, of: make([][]string, meanings)}
	l.of[timeAt], l.of[statusAt], l.of[durationAt] = timeFields, statusFields, durationFields
	l.of[domainAt], l.of[hitsAt], l.of[flagsAt] = []string{"domain"}, []string{"hits"}, []string{"response_flags"}
	if f.TimeField != "" {
		l.of[timeAt] = []string{f.TimeField}
	}
	for _, names := range l.of {
		l.names = append(l.names, names...)
	}
	l.meaningful = len(l.names)
	for _, d := range f.Map {
		for _, e := range d.Entries {
			if !strings.HasPrefix(e.Value, "=") && !slices.Contains(l.names, e.Value) {
				l.names = append(l.names, e.Value)
			}
		}
	}
	l.has, l.set = make([]string, len(l.names)), make([]bool, len(l.names))
	return l
}

// value is the field of a name. What is empty, or what Envoy writes where there is
// nothing, is absent.
func (l *layout) value(name string) (string, bool) {
	i := slices.Index(l.names, name)
	return l.has[i], l.set[i] && l.has[i] != "" && l.has[i] != "-"
}

func (l *layout) meaning(m int) (value, name string, ok bool) {
	for _, name := range l.of[m] {
		if value, ok := l.value(name); ok {
			return value, name, true
		}
	}
	return "", "", false
}

// row makes a request of the fields of a line, but for descriptors that it holds.
func (l *layout) row(line int64) (*Row, *BadLine) {
	r := &Row{Line: line}
	text, name, ok := l.meaning(timeAt)
	if !ok {
		return nil, l.bad(line, "there is no time in it", "write a field "+quotedOr(l.of[timeAt])+", or name another with --time-field")
	}
	if r.At, ok = timeOf(text); !ok {
		return nil, l.bad(line, fmt.Sprintf("%s: %s is no time", name, quote(text)), timeRemedy)
	}
	if bad := l.rest(r); bad != nil {
		return nil, bad
	}
	return r, nil
}

// rest is row without the time.
func (l *layout) rest(r *Row) *BadLine {
	line := r.Line
	text, name, ok := "", "", false
	if r.Request.Domain, _, ok = l.meaning(domainAt); !ok {
		r.Request.Domain = l.format.Domain
	}
	if text, _, ok = l.meaning(hitsAt); ok {
		hits, err := strconv.ParseUint(text, 10, 32)
		if err != nil || hits == 0 {
			return l.bad(line, fmt.Sprintf("hits: %s is no number from 1 to 4294967295", quote(text)), "leave it out for 1")
		}
		r.Request.Hits = hits
	}
	if text, name, ok = l.meaning(durationAt); ok {
		if r.Duration, r.HasTime = durationOf(text); !r.HasTime {
			return l.bad(line, fmt.Sprintf("%s: %s is no duration", name, quote(text)), "write milliseconds, as Envoy's %DURATION%, or as in 1.5s")
		}
	}
	if text, name, ok = l.meaning(statusAt); ok {
		status, err := strconv.ParseUint(text, 10, 16)
		if err != nil || status > 999 {
			return l.bad(line, fmt.Sprintf("%s: %s is no status of HTTP", name, quote(text)), "write a number from 100 to 599, or 0 for a client that left")
		}
		r.Status, r.HasStatus = int(status), true
	}
	// Of a request that was refused when the trace was written, nobody knows how it would
	// have ended.
	if text, _, ok = l.meaning(flagsAt); ok && slices.Contains(strings.Split(text, ","), "RL") {
		r.HasStatus, r.HasTime = false, false
	}
	l.mapped(&r.Request)
	return nil
}

// mapped adds the descriptors that are made of fields.
func (l *layout) mapped(request *descriptors.Request) {
	for i := range l.format.Map {
		d := descriptors.Descriptor{Entries: make([]descriptors.Entry, 0, len(l.format.Map[i].Entries))}
		for _, e := range l.format.Map[i].Entries {
			value, ok := strings.CutPrefix(e.Value, "=")
			if !ok {
				if value, ok = l.value(e.Value); !ok {
					break
				}
			}
			d.Entries = append(d.Entries, descriptors.Entry{Key: e.Key, Value: value})
		}
		if len(d.Entries) == len(l.format.Map[i].Entries) {
			request.Descriptors = append(request.Descriptors, d)
		}
	}
}

func (l *layout) bad(line int64, why, remedy string) *BadLine {
	return &BadLine{l.format.File, line, why, remedy}
}

// quote is what a trace holds, as it may stand in a message.
func quote(text string) string {
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return strconv.QuoteToASCII(text)
}

func quotedOr(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}
