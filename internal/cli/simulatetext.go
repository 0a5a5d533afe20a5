package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/internal/simulate"
)

// simulationText is a report for a reader at a terminal.
type simulationText struct {
	*simulate.Report
	names  simulate.Names
	paint  paint
	width  int // in columns
	limits int // that are shown
	b      strings.Builder
}

func (s *simulationText) text() string {
	s.heading()
	s.totals()
	if s.Course != nil {
		c := chart{s.Course, s.Requests.Requests, s.paint, s.width, 5}
		s.b.WriteString("\n" + c.text())
	}
	s.limitTable()
	s.topKeys()
	if s.Against != nil {
		s.comparison()
	}
	s.remarks()
	return s.b.String()
}

func (s *simulationText) line(format string, args ...any) { fmt.Fprintf(&s.b, format+"\n", args...) }

func (s *simulationText) heading() {
	length := s.Trace.To.Sub(s.Trace.From).Round(time.Millisecond)
	clock := "15:04:05"
	if length < time.Minute {
		clock = "15:04:05.000"
	}
	s.line("%s", s.paint.in(bold, cut(shown(s.names.Rules)+" on "+shown(s.names.Trace), s.width)))
	to := s.Trace.To.Format("2006-01-02 " + clock)
	if from, _, _ := strings.Cut(s.Trace.From.Format(time.RFC3339), "T"); strings.HasPrefix(to, from) {
		to = s.Trace.To.Format(clock)
	}
	s.line("%s in %s, from %s to %s UTC", many(s.Requests.Requests, "request"), span(length), s.Trace.From.Format("2006-01-02 "+clock), to)
}

// span is a length of time as it is read: days where there are several.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day {
		return d.String()
	}
	text := many(int64(d/day), "day")
	if hours := d % day / time.Hour; hours > 0 {
		text += fmt.Sprintf(" %dh", hours)
	}
	return text
}

// many is a number of things.
func many(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return grouped(n) + " " + what
}

// percent is a share of requests.
func percent(n, of int64) string {
	switch share := 100 * float64(n) / float64(max(of, 1)); {
	case n == 0:
		return "0 %"
	case share < 0.1:
		return "<0.1 %"
	case n < of && share > 99.9:
		return ">99.9 %"
	case n == of:
		return "100 %"
	default:
		return fmt.Sprintf("%.1f %%", share)
	}
}

func (s *simulationText) totals() {
	q := &s.Requests
	width := len(grouped(q.Requests))
	one := func(name, colour string, n int64, more string) {
		text := fmt.Sprintf("  %-9s %*s  %7s", s.paint.in(colour, fmt.Sprintf("%-9s", name)), width, grouped(n), percent(n, q.Requests))
		if more != "" {
			text += "  " + more
		}
		s.line("%s", text)
	}
	s.line("")
	one("admitted", green, q.Admitted, "")
	one("refused", red, q.Refused, s.reasons())
	if q.Waited > 0 {
		one("waited", yellow, q.Waited, waits(q))
	}
	s.line("  %-9s %*s  a second, at %s", "peak", width, grouped(s.Peak.PerSecond), s.Peak.At.Format("15:04:05"))
	if s.NoDomain > 0 {
		s.line("  %s", s.paint.in(yellow, many(s.NoDomain, "request")+" of a domain without rules, which nothing limits"))
	} else if s.NoLimit > 0 {
		s.line("  no rule limits a descriptor of %s", many(s.NoLimit, "request"))
	}
}

func (s *simulationText) reasons() string {
	var parts []string
	for _, r := range []struct {
		n    int64
		text string
	}{{s.Refused.Limit, "by a limit"}, {s.Refused.Unmatched, "unmatched"}, {s.Refused.Excess, "beyond what a request may hold"}} {
		if r.n > 0 {
			parts = append(parts, grouped(r.n)+" "+r.text)
		}
	}
	if len(parts) == 1 && s.Refused.Limit > 0 {
		return ""
	}
	return strings.Join(parts, ", ")
}

// waits tells how long requests were held.
func waits(q *simulate.Counts) string {
	mean := q.WaitSeconds / float64(max(q.Waited, 1))
	return fmt.Sprintf("%s on average, at most %s, %s in all", seconds(mean), seconds(q.LongestWait), seconds(q.WaitSeconds))
}

// seconds is a time as it is read.
func seconds(n float64) string {
	d := time.Duration(n * 1e9)
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

// most are the limits that are shown: those that refused most, in the order of the rules.
func (s *simulationText) most() []*simulate.LimitReport {
	all := make([]*simulate.LimitReport, len(s.Limits))
	for i := range all {
		all[i] = &s.Limits[i]
	}
	if len(all) <= s.limits {
		return all
	}
	refused := slices.Clone(all)
	slices.SortStableFunc(refused, func(a, b *simulate.LimitReport) int {
		return cmp.Or(cmp.Compare(b.Refused+b.ShadowRefused, a.Refused+a.ShadowRefused), cmp.Compare(b.Requests, a.Requests))
	})
	refused = refused[:s.limits]
	return slices.DeleteFunc(all, func(l *simulate.LimitReport) bool { return !slices.Contains(refused, l) })
}

func (s *simulationText) limitTable() {
	limits := s.most()
	if len(limits) == 0 {
		s.line("\n%s", s.paint.in(yellow, "no request meets a limit: weir explain tells of one why"))
		return
	}
	several := slices.ContainsFunc(s.Limits, func(l simulate.LimitReport) bool { return l.Domain != s.Limits[0].Domain })
	rows := [][]string{{"limit", "admits", "requests", "admitted", "refused", "share", "peak"}}
	for _, l := range limits {
		name := shown(l.Limit)
		if several {
			name = shown(l.Domain) + "/" + name
		}
		rows = append(rows, []string{
			cut(name, s.width/3), cut(l.Admits, 20), grouped(l.Requests), grouped(l.Admitted), grouped(l.Refused), percent(l.Refused, l.Requests), grouped(l.Peak.PerSecond) + "/s",
		})
	}
	s.b.WriteString("\n")
	numberTable(&s.b, s.paint, rows, func(i int) string { return s.sparkline(limits, i-1, rows) })
	if n := len(s.Limits) - len(limits); n > 0 {
		s.line("  and %s that refused less: --limits shows more", counted(n, "limit"))
	}
	for _, l := range limits {
		if more := details(l); more != "" {
			s.wrapped("  "+shown(l.Limit)+": ", more)
		}
	}
	if len(s.NeverMet) > 0 {
		s.wrapped("  met by no request: ", shown(strings.Join(s.NeverMet[:min(len(s.NeverMet), 10)], ", ")))
	}
}

// sparkline is when a limit refused, where there is room for it behind its row.
func (s *simulationText) sparkline(limits []*simulate.LimitReport, i int, rows [][]string) string {
	room := s.width - tableWidth(rows) - 4
	if room < 18 {
		return ""
	}
	if i < 0 {
		return "  " + cut("refusals over time", room)
	}
	if limits[i].Course == nil || limits[i].Refused+limits[i].ShadowRefused == 0 {
		return ""
	}
	return "  " + s.paint.in(red, spark(limits[i].Course, min(room, 40)))
}

// details tells of a limit what only some have.
func details(l *simulate.LimitReport) string {
	var parts []string
	for _, d := range []struct {
		n    int64
		text string
	}{
		{l.Waited, "waited (" + waits(&l.Counts) + ")"},
		{l.ShadowRefused, "refused if it were not in shadow mode"},
		{l.OtherRefused, "passed here and refused by another limit"},
		{l.OtherQuota, "admitted by another quota when it was used up"},
		{l.Borrowed, "admitted from what other classes left"},
	} {
		if d.n > 0 {
			parts = append(parts, grouped(d.n)+" "+d.text)
		}
	}
	if l.Tokens > 0 && l.Tokens != l.Admitted {
		parts = append(parts, many(l.Tokens, "token")+" taken")
	}
	return strings.Join(parts, "; ")
}

func (s *simulationText) topKeys() {
	if len(s.TopKeys) == 0 || s.Requests.Refused == 0 {
		return
	}
	rows := [][]string{{"most refused", "refused", "of all"}}
	for _, k := range s.TopKeys {
		count := grouped(k.Count)
		if k.Over > 0 {
			count = grouped(k.Count-k.Over) + " to " + count
		}
		rows = append(rows, []string{cut(shown(k.Descriptor), s.width-40), count, percent(k.Count, s.Requests.Refused)})
	}
	s.b.WriteString("\n")
	numberTable(&s.b, s.paint, rows, nil)
}

// remarks tell what the trace could not.
func (s *simulationText) remarks() {
	t := &s.Trace
	var all []string
	if s.Stopped {
		all = append(all, "it was stopped before the trace had ended")
	}
	if t.BadLines > 0 {
		all = append(all, fmt.Sprintf("%s skipped, the first: %s", many(t.BadLines, "bad line"), t.FirstBad))
	}
	if t.NotAsked > 0 {
		all = append(all, many(t.NotAsked, "request")+" without a descriptor, for a field is missing or empty: Envoy would have asked nobody, so they do not count")
	}
	if t.Late > 0 {
		all = append(all, fmt.Sprintf("%s further down the trace than --reorder allows, by up to %s, and judged when they came: raise it, or sort the trace", many(t.Late, "request"), seconds(t.Latest)))
	}
	all = append(all, s.Notes...)
	if len(all) > 0 {
		s.b.WriteString("\n")
	}
	for _, text := range all {
		s.wrapped(s.paint.in(yellow, "note:")+" ", text)
	}
}
