package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/simulate"
)

// comparison tells what becomes of requests otherwise than by the rules before.
func (s *simulationText) comparison() {
	a := s.Against
	s.line("\n%s", s.paint.in(bold, "against "+shown(s.names.Against)))
	changed := a.NowRefused + a.NowAdmitted
	s.line("another verdict for %s (%s)", many(changed, "request"), percent(changed, s.Requests.Requests))
	for _, c := range []struct {
		n            int64
		colour, text string
	}{
		{a.NowRefused, red, "admitted before, refused now"},
		{a.NowAdmitted, green, "refused before, admitted now"},
		{a.Longer, yellow, "admitted after a longer wait"},
		{a.Shorter, green, "admitted after a shorter wait"},
		{a.OtherLimit, dim, "refused by another limit"},
	} {
		if c.n > 0 {
			s.line("  %s  %s", s.paint.in(c.colour, fmt.Sprintf("%*s", len(grouped(s.Requests.Requests)), grouped(c.n))), c.text)
		}
	}
	s.changedLimits()
	for i := range a.Changes {
		s.change(&a.Changes[i])
	}
}

func (s *simulationText) changedLimits() {
	if len(s.Against.Limits) == 0 {
		s.line("  every limit does the same")
		return
	}
	rows := [][]string{{"limit", "admits", "admitted", "refused", "waited"}}
	for i := range s.Against.Limits {
		if i == s.limits {
			break
		}
		l := &s.Against.Limits[i]
		row := []string{cut(shown(l.Limit), s.width/4)}
		if l.Before == nil || l.After == nil {
			only, where := l.After, "new"
			if only == nil {
				only, where = l.Before, "gone"
			}
			rows = append(rows, append(row, where+", "+only.Admits, grouped(only.Admitted), grouped(only.Refused), grouped(only.Waited)))
			continue
		}
		admits := l.After.Admits
		if l.Before.Admits != admits {
			admits = l.Before.Admits + " → " + admits
		}
		rows = append(rows, append(row, admits, fromTo(l.Before.Admitted, l.After.Admitted), fromTo(l.Before.Refused, l.After.Refused), fromTo(l.Before.Waited, l.After.Waited)))
	}
	s.b.WriteString("\n")
	numberTable(&s.b, s.paint, rows, nil)
}

func fromTo(before, after int64) string {
	if before == after {
		return grouped(after)
	}
	return grouped(before) + " → " + grouped(after)
}

// change explains one request that gets another verdict.
func (s *simulationText) change(c *simulate.Change) {
	s.line("\n  %s  %s  %s", c.At.Format("15:04:05.000"), cut(shown(strings.Join(c.Descriptors, "  ")), s.width-34), s.paint.in(dim, fmt.Sprintf("%s %d", s.names.Row, c.Line)))
	for _, side := range []struct {
		name string
		v    *simulate.ChangedVerdict
	}{{"before", &c.Before}, {"now", &c.After}} {
		colour := map[descriptors.Verdict]string{descriptors.Allowed: green, descriptors.Denied: red, descriptors.Waits: yellow}[side.v.Verdict]
		text := string(side.v.Verdict)
		if side.v.WaitSeconds > 0 {
			text += " " + seconds(side.v.WaitSeconds)
		}
		why := side.v.Why
		if why == "" {
			why = side.v.Limit
		}
		s.wrapped(fmt.Sprintf("    %-6s  %s  ", side.name, s.paint.in(colour, fmt.Sprintf("%-5s", text))), shown(why))
	}
}

// wrapped writes a text behind a beginning, in lines that fit.
func (s *simulationText) wrapped(beginning, text string) {
	used := visible(beginning)
	s.b.WriteString(beginning)
	indent, at := strings.Repeat(" ", min(used, 8)), used
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if i > 0 && at+1+n > s.width {
			s.b.WriteString("\n" + indent)
			at = len(indent)
		} else if i > 0 {
			s.b.WriteString(" ")
			at++
		}
		s.b.WriteString(word)
		at += n
	}
	s.b.WriteString("\n")
}

// visible is how many columns a text takes, colours not counted.
func visible(text string) (n int) {
	inside := false
	for _, r := range text {
		switch {
		case r == '\x1b':
			inside = true
		case inside:
			inside = r != 'm'
		default:
			n++
		}
	}
	return n
}

// cut is a text in at most so many characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:max(most-1, 1)]) + "…"
}

// numberTable writes rows, the first as their heading: texts to the left, and columns
// that hold numbers to the right. behind is what stands behind a row, nil: nothing.
func numberTable(b *strings.Builder, p paint, rows [][]string, behind func(row int) string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, row := range rows {
		var line strings.Builder
		for k, cell := range row {
			pad := strings.Repeat(" ", widths[k]-utf8.RuneCountInString(cell))
			if words := k == 0 || rows[0][k] == "admits"; words {
				line.WriteString("  " + cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		text := strings.TrimRight(line.String(), " ")
		if behind != nil {
			if more := behind(i); more != "" {
				text = line.String() + more
			}
		}
		if i == 0 {
			text = p.in(dim, text)
		}
		b.WriteString(text + "\n")
	}
}

// tableWidth is how wide the rows of a table are.
func tableWidth(rows [][]string) (width int) {
	for k := range rows[0] {
		widest := 0
		for _, row := range rows {
			widest = max(widest, utf8.RuneCountInString(row[k]))
		}
		width += 2 + widest
	}
	return width
}
