package cli

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

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
	if a := e.Answer; a != nil && decision(e) != "" {
		fmt.Fprintf(&b, "  %s\n", decision(e))
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

// decision tells what decided.
func decision(e *descriptors.Explanation) string {
	a := e.Answer
	limit := fmt.Sprintf("limit %s of descriptor %d", a.Limit, a.Descriptor+1)
	switch {
	case a.Verdict == descriptors.Waits && a.Wait == 0:
		return limit + " holds the request until somebody gives back what it needs"
	case a.Verdict == descriptors.Waits:
		return fmt.Sprintf("%s holds the request for %s, if nobody else asks", limit, a.Wait)
	case a.Reason == "limit":
		return limit + " refuses"
	case a.Reason == "unmatched":
		return "a descriptor meets no rule, and the domain says unmatched: deny"
	case a.Verdict == descriptors.Denied:
		return "the request is too large to be judged"
	case a.Limit != "" && unlimited(e):
		return limit + " is unlimited"
	case a.Limit != "":
		return limit + " has the least left"
	case e.Note == "":
		return "no limit is met"
	}
	return ""
}

// unlimited tells that no limit that is met has a bucket.
func unlimited(e *descriptors.Explanation) bool {
	for i := range e.Descriptors {
		for _, l := range e.Descriptors[i].Limits {
			if l.Key != "" {
				return false
			}
		}
	}
	return true
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

// fates say by what an entry was met.
var fates = map[descriptors.EntryFate]string{
	descriptors.ByExact: "exact value", descriptors.ByNetwork: "network", descriptors.ByPattern: "pattern", descriptors.ByKey: "key alone",
	descriptors.ByFirstOf: "first_of", descriptors.Passive: "passive", descriptors.Unmet: "nothing", descriptors.LeftOver: "not reached",
	descriptors.Overridden: "own limit",
}

// wayText tells the way of a descriptor, and the limits at its end.
func wayText(b *strings.Builder, p paint, name string, w *descriptors.ExplainedWay) {
	b.WriteString(p.in(bold, name) + "\n")
	rows := [][]string{{"entry", "met by", "rule", "compared with"}}
	for _, e := range w.Entries {
		rows = append(rows, []string{shown(e.Key) + "=" + shown(e.Value), fates[e.By], cmp.Or(shown(e.Rule), "-"), comparedText(e.Compared)})
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

// comparedText tells what else an entry was compared with, in the order in which
// rules win.
func comparedText(all []descriptors.Comparison) string {
	var parts []string
	for _, c := range all {
		switch {
		case c.Won:
			continue
		case c.Rules > 0:
			kind := map[descriptors.EntryFate]string{descriptors.ByExact: "value", descriptors.ByNetwork: "network"}[c.By]
			parts = append(parts, fmt.Sprintf("%s: no", counted(c.Rules, kind)))
		case c.Met:
			parts = append(parts, shown(c.Rule)+" ("+fates[c.By]+"): yes, but another comes first")
		default:
			parts = append(parts, shown(c.Rule)+": no")
		}
	}
	return cmp.Or(strings.Join(parts, "; "), "-")
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
		row := []string{shown(l.Limit), l.Algorithm, admits(l), costText(l), "-", "-", "-", "-"}
		if u := l.Bucket; u != nil {
			row[7] = says(l, u)
			if row[4] = u.State; u.State == "" {
				row[4], row[5], row[6] = fmt.Sprint(u.Remaining), fmt.Sprint(u.Capacity), spanText(u.Reset)
			}
		}
		rows = append(rows, row)
	}
	table(b, p, "  ", rows)
	for i := range limits {
		if key := limits[i].Key; key != "" {
			fmt.Fprintf(b, "  %s\n", p.in(dim, "bucket of "+shown(limits[i].Limit)+": "+shown(key)))
		}
	}
}

func admits(l *descriptors.ExplainedLimit) string {
	text := "-"
	if l.Period != "" {
		text = fmt.Sprintf("%d per %s", l.Requests, l.Period)
	}
	if l.Pool != "" {
		text += " (pool " + l.Pool + ")"
	}
	return text
}

// costText is the cost with what it is made of.
func costText(l *descriptors.ExplainedLimit) string {
	if l.Algorithm == "unlimited" {
		return "0"
	}
	text := fmt.Sprint(l.Cost)
	if l.Hits != 1 || l.WeightBy != "" {
		text += fmt.Sprintf(" = %s x %d", counted(int(min(l.Hits, 1<<31)), "hit"), l.Weight)
	}
	switch {
	case strings.Contains(l.WeightBy, "="):
		text += " (" + shown(l.WeightBy) + ")"
	case l.WeightBy != "":
		text += " (no " + shown(l.WeightBy) + ")"
	}
	return text
}

// says is what a bucket says to the request.
func says(l *descriptors.ExplainedLimit, u *descriptors.ExplainedBucket) string {
	var parts []string
	switch {
	case l.Mode == "refund":
		parts = append(parts, "takes back")
	case l.Mode == "settle":
		parts = append(parts, "settles")
	case u.Admits && u.Borrowed:
		parts = append(parts, "yes, borrowed")
	case u.Admits:
		parts = append(parts, "yes")
	case u.Capacity == 0 && u.State == "":
		parts = append(parts, "never: it admits nothing")
	case u.Hopeless:
		parts = append(parts, "never: it costs more than it holds")
	case u.Delay > 0:
		parts = append(parts, "no, in "+spanText(u.Delay))
	default:
		parts = append(parts, "no")
	}
	if l.Mode == "look" {
		parts = append(parts, "looks only")
	}
	if l.Role != "enforce" {
		parts = append(parts, l.Role+" mode")
	}
	return strings.Join(parts, ", ")
}

// spanText is a time as it is read: without the millionths of an hour.
func spanText(s descriptors.Span) string {
	d := time.Duration(s)
	switch {
	case d == 0:
		return "-"
	case d > time.Minute:
		d = d.Round(time.Second)
	case d > time.Second:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

// answerText tells what the caller reads.
func answerText(b *strings.Builder, p paint, a *descriptors.ExplainedAnswer) {
	if a == nil || len(a.Headers) == 0 && a.Body == "" {
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
