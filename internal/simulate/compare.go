package simulate

import (
	"fmt"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// compare holds the verdicts of two rule files on each request against one another.
type compare struct {
	replays []*replay
	most    int // changes that are told
	open    map[int64]*pair

	nowRefused, nowAdmitted int64
	longer, shorter         int64 // of those that both admit
	otherLimit              int64 // of those that both refuse
	changes                 []Change
}

// pair is the verdict of one of them, of whom the other's is not known.
type pair struct {
	by  int
	v   Verdict
	why string // while the buckets stood as they did
}

// decided is told the verdict of one of them: 0 of what is compared with.
func (c *compare) decided(by int, number int64, row *Row, v Verdict) {
	other := c.open[number]
	if other == nil {
		c.open[number] = &pair{by: by, v: v}
		return
	}
	delete(c.open, number)
	before, after := other.v, v
	if by == 0 {
		before, after = after, before
	}
	switch {
	case before.Admitted && !after.Admitted:
		c.nowRefused++
	case !before.Admitted && after.Admitted:
		c.nowAdmitted++
	case !before.Admitted:
		if before.Limit != after.Limit || before.Reason != after.Reason {
			c.otherLimit++
		}
		return
	case after.Waited > before.Waited:
		c.longer++
	case after.Waited < before.Waited:
		c.shorter++
		return
	}
	if before.Admitted != after.Admitted && len(c.changes) < c.most {
		c.tell(row, before, after)
		if last := &c.changes[len(c.changes)-1]; other.by == 0 && last.Before.Why == "" {
			last.Before.Why = other.why
		} else if other.by == 1 && last.After.Why == "" {
			last.After.Why = other.why
		}
	}
}

// asked has been told verdicts on a request, or is to be told them when its caller is held
// no more: then it is too late to ask why the other decided as he did.
func (c *compare) asked(number int64, row *Row) {
	p := c.open[number]
	if p == nil || len(c.changes) == c.most {
		return
	}
	if e, err := c.replays[p.by].replica.Explain(row.Request); err == nil {
		p.why = why(&e, p.v)
	}
}

// tell explains a request that gets another verdict. Where a verdict came later than the
// request, the buckets are others by now, and nothing is said of them.
func (c *compare) tell(row *Row, before, after Verdict) {
	change := Change{Line: row.Line, At: micros(row.At), Descriptors: []string{}, Before: told(before), After: told(after)}
	for i, side := range []*ChangedVerdict{&change.Before, &change.After} {
		e, err := c.replays[i].replica.Explain(row.Request)
		if err != nil {
			continue
		}
		if i == 1 {
			for k := range e.Descriptors {
				change.Descriptors = append(change.Descriptors, wayEntries(&e.Descriptors[k]))
			}
		}
		if c.replays[i].replica.Now().UnixMicro() == row.At && [...]Verdict{before, after}[i].Waited == 0 {
			side.Why = why(&e, [...]Verdict{before, after}[i])
		}
	}
	c.changes = append(c.changes, change)
}

func told(v Verdict) ChangedVerdict {
	t := ChangedVerdict{Verdict: descriptors.Denied, Limit: v.Limit, Reason: v.Reason, WaitSeconds: v.Waited.Seconds()}
	switch {
	case v.Admitted && v.Waited > 0:
		t.Verdict = descriptors.Waits
	case v.Admitted:
		t.Verdict = descriptors.Allowed
	}
	return t
}

// wayEntries are the entries of a descriptor, without values that its rules hide.
func wayEntries(w *descriptors.ExplainedWay) string {
	entries := make([]descriptors.Entry, len(w.Entries))
	for i, e := range w.Entries {
		entries[i] = descriptors.Entry{Key: e.Key, Value: e.Value}
	}
	return entriesText(entries)
}

// why tells what decided, of an explanation after the fact: a refusal has taken nothing.
func why(e *descriptors.Explanation, v Verdict) string {
	var least *descriptors.ExplainedLimit
	for i := range e.Descriptors {
		for k := range e.Descriptors[i].Limits {
			l := &e.Descriptors[i].Limits[k]
			switch u := l.Bucket; {
			case u == nil || u.State != "" && v.Admitted:
			case !v.Admitted && l.Limit == v.Limit:
				return refusal(l)
			case v.Admitted && (least == nil || u.Remaining < least.Bucket.Remaining):
				least = l
			}
		}
	}
	switch {
	case least != nil:
		return fmt.Sprintf("%s has %d of %d left afterwards", least.Limit, least.Bucket.Remaining, least.Bucket.Capacity)
	case v.Admitted:
		return "no limit is met"
	case v.Reason == "unmatched":
		return "a descriptor meets no rule"
	}
	return ""
}

// refusal tells why a limit refused.
func refusal(l *descriptors.ExplainedLimit) string {
	u := l.Bucket
	if u.State != "" {
		return l.Limit + " is " + u.State
	}
	text := fmt.Sprintf("%s has %d of %d left, and the request costs %d", l.Limit, u.Remaining, u.Capacity, l.Cost)
	if l.Period != "" {
		text = fmt.Sprintf("%s (%d per %s) has %d of %d left, and the request costs %d", l.Limit, l.Requests, l.Period, u.Remaining, u.Capacity, l.Cost)
	}
	switch {
	case u.Hopeless:
		text += ": it never admits that"
	case u.Delay > 0:
		text += fmt.Sprintf("; in %s it would pass", time.Duration(u.Delay).Round(time.Millisecond))
	}
	return text
}
