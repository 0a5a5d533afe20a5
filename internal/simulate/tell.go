package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
)

// mostTop is how many keys are told of those that were refused.
const mostTop = 5

// tell writes the report when the trace has ended.
func (r *run) tell() {
	t := &r.report.Trace
	t.Late, t.Latest = r.trace.late, r.trace.latest.Seconds()
	r.report.Limits = []LimitReport{}
	if r.replays == nil {
		return
	}
	t.From, t.To = micros(r.first), micros(r.last)
	p := r.replays[len(r.replays)-1]
	y := &p.tally
	o := r.report
	o.Requests, o.Course, o.TopKeys = y.total.told(), y.total.course.told(r.last), y.total.keys.told()
	o.Refused = RefusedFor{y.refused.limit, y.refused.unmatched, y.refused.excess}
	o.NoLimit, o.NoDomain, o.Peak = y.unmatched, y.unknown, y.second.told()
	o.Limits, o.NeverMet = y.limitReports(r.last), y.neverMet()
	o.Notes = p.notes(&r.Options)
	if r.Against != nil {
		o.Against = r.compare.told(&r.replays[0].tally, o)
	}
}

func (c *counts) told() Counts {
	return Counts{c.requests, c.admitted, c.denied, c.waited, c.wait.Seconds(), c.longest.Seconds()}
}

func (p *peak) told() Peak { return Peak{p.most, time.Unix(p.at, 0).UTC()} }

func (c *course) told(to int64) *Course {
	if c == nil {
		return nil
	}
	told := &Course{From: micros(c.start), To: micros(to), PartSeconds: float64(c.length) / 1e6}
	for _, p := range c.parts {
		told.Admitted, told.Refused = append(told.Admitted, p.admitted), append(told.Refused, p.refused)
	}
	return told
}

func (s *sketch) told() (keys []KeyReport) {
	if s == nil {
		return nil
	}
	for _, k := range s.top(mostTop) {
		keys = append(keys, KeyReport{k.key, k.count, k.over})
	}
	return keys
}

// limitReports are those of the limits that were met, in the order of the rules.
func (t *tally) limitReports(last int64) []LimitReport {
	place := map[*descriptors.Limit]int{}
	for i, l := range t.rules.Limits() {
		place[l] = i
	}
	reports, order := []LimitReport{}, slices.Clone(t.order)
	slices.SortStableFunc(order, func(a, b *counts) int { return cmp.Compare(place[a.limit], place[b.limit]) })
	for _, c := range order {
		reports = append(reports, LimitReport{
			Domain: c.limit.Domain, Limit: c.limit.Name, Admits: admits(c.limit), Counts: c.told(),
			OtherRefused: c.spared, ShadowRefused: c.shadow, OtherQuota: c.quota, Borrowed: c.borrowed, Tokens: c.tokens,
			Peak: c.rate.told(), Course: c.course.told(last), TopKeys: c.keys.told(),
		})
	}
	return reports
}

// mostNamed bounds the limits that are named which no request met.
const mostNamed = 50

func (t *tally) neverMet() (names []string) {
	for _, l := range t.rules.Limits() {
		if t.limits[l] == nil && !l.Disabled && len(names) < mostNamed {
			names = append(names, l.Name)
		}
	}
	return names
}

// admits says what a limit lets pass.
func admits(l *descriptors.Limit) string {
	text := ""
	switch b := l.Bucket.(type) {
	case nil:
		return "unlimited"
	case buckets.Slots:
		text = fmt.Sprintf("%d at once", b.Count)
	case buckets.Breaker:
		text = "breaker"
	default:
		text = fmt.Sprintf("%d/%s", l.Requests, strings.TrimPrefix(l.PeriodText(), "1 "))
	}
	if l.Shadow {
		text += ", shadow"
	}
	return text
}

// notes say what the trace cannot tell.
func (r *replay) notes(o *Options) (notes []string) {
	add := func(n int64, format string, args ...any) {
		if n > 0 {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	t := &r.tally
	add(t.noStatus, "how a request ends decides over limits that %d of those admitted meet, and the trace does not tell: taken to be status %d (--assume-status)", t.noStatus, o.AssumeStatus)
	add(t.noTime, "when a request ends decides over limits that %d of those admitted meet, and the trace does not tell: taken to be after %s (--assume-duration)", t.noTime, o.AssumeDuration)
	follows := map[string]bool{}
	for l := range t.limits {
		if pool, ok := l.Feedback(); ok {
			follows[pool] = true
		}
	}
	for _, pool := range r.rules.Pools() {
		if follows[pool.Name] {
			add(1, "the size of pool %s follows failures in a running weir; here it stays as the rules state it", pool.Name)
		}
	}
	add(t.total.waited, "who waits is held as long as the limits allow; a timeout of Envoy that is shorter would end it sooner")
	return notes
}

// told compares what both rules counted.
func (c *compare) told(before *tally, after *Report) *Comparison {
	o := &Comparison{
		Requests: before.total.told(), NowRefused: c.nowRefused, NowAdmitted: c.nowAdmitted,
		Longer: c.longer, Shorter: c.shorter, OtherLimit: c.otherLimit, Limits: []LimitChange{}, Changes: c.changes,
	}
	type id struct{ domain, limit string }
	olds, seen := before.limitReports(0), map[id]bool{}
	byID := func(all []LimitReport) map[id]*LimitReport {
		found := map[id]*LimitReport{}
		for _, l := range all {
			l.Course, l.TopKeys = nil, nil
			found[id{l.Domain, l.Limit}] = &l
		}
		return found
	}
	was, is := byID(olds), byID(after.Limits)
	for _, l := range slices.Concat(after.Limits, olds) {
		one := id{l.Domain, l.Limit}
		if seen[one] {
			continue
		}
		seen[one] = true
		was, is := was[one], is[one]
		if was == nil || is == nil || was.Counts != is.Counts || was.Admits != is.Admits || was.ShadowRefused != is.ShadowRefused {
			o.Limits = append(o.Limits, LimitChange{one.domain, one.limit, was, is})
		}
	}
	return o
}
