package cli

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/weir-rls/weir/descriptors"
)

// explainText is an explanation for a reader.
func explainText(e *descriptors.Explanation, p paint) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  domain %s", verdictText(e, p), shown(e.Domain))
	if e.Matching != "" {
		fmt.Fprintf(&b, ", matching: %s", e.Matching)
	}
	b.WriteString("\n")
	if text := e.Decision(); text != "" {
		fmt.Fprintf(&b, "  %s\n", shown(text))
	}
	advice(&b, p, e.Note, e.Remedy)
	for i := range e.Descriptors {
		b.WriteString("\n")
		wayText(&b, p, fmt.Sprintf("descriptor %d", i+1), &e.Descriptors[i])
	}
	answerText(&b, p, e.Answer)
	return b.String()
}

func verdictText(e *descriptors.Explanation, p paint) string {
	if e.Answer == nil {
		return p.in(yellow, "unknown")
	}
	colour := map[descriptors.Verdict]string{descriptors.Allowed: green, descriptors.Denied: red, descriptors.Waits: yellow}[e.Answer.Verdict]
	return p.in(colour, string(e.Answer.Verdict))
}

func advice(b *strings.Builder, p paint, texts ...string) {
	for i, text := range texts {
		if text == "" {
			continue
		}
		if i > 0 {
			text = p.in(yellow, "try:") + " " + text
		}
		fmt.Fprintf(b, "  %s\n", text)
	}
}

// wayText tells the way of a descriptor, and the limits at its end.
func wayText(b *strings.Builder, p paint, name string, w *descriptors.ExplainedWay) {
	b.WriteString(p.in(bold, name) + "\n")
	rows := [][]string{{"entry", "met by", "rule", "compared with"}}
	for _, e := range w.Entries {
		rows = append(rows, []string{shown(e.Key) + "=" + shown(e.Value), e.By.Words(), cmp.Or(shown(e.Rule), "-"), cmp.Or(shown(e.Others()), "-")})
	}
	table(b, p, "  ", rows)
	if w.Why != "" {
		fmt.Fprintf(b, "  %s %s\n", p.in(yellow, "no limit:"), w.Why)
		if w.Nearest != "" {
			fmt.Fprintf(b, "  nearest rule: %s\n", shown(w.Nearest))
		}
		if len(w.Missing) > 0 {
			fmt.Fprintf(b, "  missing: %s\n", strings.Join(w.Missing, ", "))
		}
		advice(b, p, "", w.Remedy)
	}
	for _, l := range w.LeftOut {
		fmt.Fprintf(b, "  limit %s does not count: %s\n", l.Limit, l.Why)
	}
	if len(w.Limits) > 0 {
		limitsText(b, p, w.Limits)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// limitsText tells the limits, what they cost and where they stand.
func limitsText(b *strings.Builder, p paint, limits []descriptors.ExplainedLimit) {
	rows := [][]string{{"limit", "algorithm", "admits", "cost", "left", "of", "full in", "says"}}
	for i := range limits {
		l := &limits[i]
		row := []string{shown(l.Limit), l.Algorithm, cmp.Or(shown(l.Admits()), "-"), shown(l.CostText()), "-", "-", "-", cmp.Or(l.Says(), "-")}
		if u := l.Bucket; u != nil {
			if row[4] = u.State; u.State == "" {
				row[4], row[5], row[6] = fmt.Sprint(u.Remaining), fmt.Sprint(u.Capacity), u.Reset.Short()
			}
		}
		rows = append(rows, row)
	}
	table(b, p, "  ", rows)
	for i := range limits {
		if key := limits[i].Key; key != "" {
			text := "bucket of " + shown(limits[i].Limit) + ": " + shown(key)
			if by := limits[i].Shared; by != "" {
				text += ", one for all values of " + shown(by)
			}
			fmt.Fprintf(b, "  %s\n", p.in(dim, text))
		}
		if detail := limits[i].Detail; detail != "" {
			fmt.Fprintf(b, "  %s\n", p.in(dim, "metrics tell it apart as "+shown(detail)))
		}
	}
}

// answerText tells what Envoy and the caller read.
func answerText(b *strings.Builder, p paint, a *descriptors.ExplainedAnswer) {
	if a == nil {
		return
	}
	if text := a.MetadataText(); text != "" {
		fmt.Fprintf(b, "\n%s\n  %s\n", p.in(bold, "Envoy is told the metadata"), shown(text))
	}
	if len(a.Headers) == 0 && a.Body == "" {
		return
	}
	b.WriteString("\n" + p.in(bold, "the caller is told") + "\n")
	for _, h := range a.Headers {
		fmt.Fprintf(b, "  %s: %s\n", shown(h.Name), shown(h.Value))
	}
	for line := range strings.Lines(a.Body) {
		fmt.Fprintf(b, "  %s\n", shown(strings.TrimRight(line, "\r\n")))
	}
}

// table writes rows in columns, the first as their heading.
func table(b *strings.Builder, p paint, indent string, rows [][]string) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // to a builder
	heading := true
	for line := range strings.Lines(text.String()) {
		line = strings.TrimRight(line, " \n")
		if heading {
			line = p.in(dim, line)
		}
		heading = false
		b.WriteString(indent + line + "\n")
	}
}
