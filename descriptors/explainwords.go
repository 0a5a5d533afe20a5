package descriptors

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// The words in which an explanation is told to people, the same on a terminal and on
// the dashboard. They hold what clients sent as it is: who shows them escapes it.

// Decision is what decided, as one sentence; empty where the note says it all.
func (e *Explanation) Decision() string {
	a := e.Answer
	if a == nil {
		return ""
	}
	limit := fmt.Sprintf("limit %s of descriptor %d", a.Limit, a.Descriptor+1)
	switch {
	case a.Verdict == Waits && a.Wait == 0:
		return limit + " holds the request until somebody gives back what it needs"
	case a.Verdict == Waits:
		return fmt.Sprintf("%s holds the request for %s, if nobody else asks", limit, a.Wait)
	case a.Reason == "limit":
		return limit + " refuses"
	case a.Reason == "unmatched":
		return "a descriptor meets no rule, and the domain says unmatched: deny"
	case a.Verdict == Denied:
		return "the request is too large to be judged"
	case a.Limit != "" && e.unlimited():
		return limit + " is unlimited"
	case a.Limit != "":
		return limit + " has the least left"
	case e.Note == "":
		return "no limit is met"
	}
	return ""
}

// unlimited tells that no limit that is met has a bucket.
func (e *Explanation) unlimited() bool {
	for i := range e.Descriptors {
		for _, l := range e.Descriptors[i].Limits {
			if l.Key != "" {
				return false
			}
		}
	}
	return true
}

// MetadataText is the metadata that Envoy is told, as JSON; empty if there is none.
func (a *ExplainedAnswer) MetadataText() string {
	if len(a.Metadata) == 0 {
		return ""
	}
	text, err := json.Marshal(a.Metadata)
	if err != nil { // it came as JSON, or was made of a rule's
		return ""
	}
	return string(text)
}

// Words say by what an entry was met.
func (f EntryFate) Words() string {
	return map[EntryFate]string{
		ByExact: "exact value", ByNetwork: "network", ByPattern: "pattern", ByKey: "key alone", ByFirstOf: "first_of",
		Passive: "passive", Unmet: "nothing", LeftOver: "not reached", Overridden: "own limit",
	}[f]
}

// Others tells what else the entry was compared with, in the order in which rules win;
// empty where there is nothing else.
func (e *ExplainedEntry) Others() string {
	var parts []string
	for _, c := range e.Compared {
		switch {
		case c.Won:
			continue
		case c.Rules > 0:
			kind := map[EntryFate]string{ByExact: "value", ByNetwork: "network"}[c.By]
			parts = append(parts, counted(c.Rules, kind)+": no")
		case c.Met:
			parts = append(parts, c.Rule+" ("+c.By.Words()+"): yes, but another comes first")
		default:
			parts = append(parts, c.Rule+": no")
		}
	}
	return strings.Join(parts, "; ")
}

// Admits is what passes in which time, and of which pool; empty for what has no rate.
func (l *ExplainedLimit) Admits() string {
	text := ""
	if l.Period != "" {
		text = fmt.Sprintf("%d per %s", l.Requests, l.Period)
	}
	if l.Pool != "" {
		text = cmp.Or(text, "-") + " (pool " + l.Pool + ")"
	}
	return text
}

// CostText is the cost with what it is made of.
func (l *ExplainedLimit) CostText() string {
	if l.Algorithm == "unlimited" {
		return "0"
	}
	text := fmt.Sprint(l.Cost)
	if l.Hits != 1 || l.WeightBy != "" {
		text += fmt.Sprintf(" = %s x %d", counted(int(min(l.Hits, 1<<31)), "hit"), l.Weight)
	}
	switch {
	case strings.Contains(l.WeightBy, "="):
		text += " (" + l.WeightBy + ")"
	case l.WeightBy != "":
		text += " (no " + l.WeightBy + ")"
	}
	return text
}

// Says is what the limit's bucket says to the request; empty where it was not looked
// at.
func (l *ExplainedLimit) Says() string {
	u := l.Bucket
	if u == nil {
		return ""
	}
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
		parts = append(parts, "no, in "+u.Delay.Short())
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

// Short is a time as it is read: without the millionths of an hour, "-" for none.
func (s Span) Short() string {
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
