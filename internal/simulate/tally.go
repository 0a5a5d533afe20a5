package simulate

import (
	"slices"
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/service"
)

// mostDrawn bounds the limits of which more is kept than counts: a course over time and
// the keys that were refused take some 20 KB each.
const mostDrawn = 2000

// tally counts what becomes of the requests of a trace.
type tally struct {
	rules   *descriptors.Rules
	start   int64 // of the courses
	limits  map[*descriptors.Limit]*counts
	order   []*counts // by their first request
	total   counts
	second  peak
	refused reasons

	unmatched, unknown int64
	noStatus, noTime   int64 // requests whose end decides over something, and is not known

	// Of the request that is being judged.
	met     []decision
	refusal []descriptors.Entry
	nowhere int // descriptors that no rule limits
	strange bool
}

type decision struct {
	limit   *descriptors.Limit
	outcome service.Outcome
	tokens  int64
}

type reasons struct{ limit, unmatched, excess int64 }

// counts are what became of the requests that met a limit.
type counts struct {
	limit                      *descriptors.Limit
	requests, admitted, denied int64
	spared                     int64 // would have been admitted, but another limit refused
	shadow, borrowed           int64
	quota                      int64 // would have refused, but another quota had room
	waited                     int64
	wait, longest              time.Duration
	tokens                     int64
	rate                       peak
	course                     *course
	keys                       *sketch
}

// peak is the most requests of a second.
type peak struct{ second, now, most, at int64 }

func (p *peak) count(micros int64) {
	second := micros / 1e6
	if second != p.second {
		p.second, p.now = second, 0
	}
	if p.now++; p.now > p.most {
		p.most, p.at = p.now, second
	}
}

func (t *tally) init(rules *descriptors.Rules, start int64) {
	t.rules, t.start, t.limits = rules, start, map[*descriptors.Limit]*counts{}
	t.total.course, t.total.keys = newCourse(start), newSketch()
}

// observer is told by the service what becomes of requests.
func (t *tally) observer() service.Observer {
	return service.Observer{
		Decision: func(l *descriptors.Limit, o service.Outcome, tokens int64, _ string) {
			t.met = append(t.met, decision{l, o, tokens})
		},
		Refusal:   func(r service.Refusal) { t.refusal = r.Entries() },
		Unmatched: func(_ string, n int) { t.nowhere = n }, UnknownDomain: func() { t.strange = true },
		Request: func(service.Result, time.Duration, string) {}, BadOverrides: func(string, int) {}, Excess: func(service.Bound) {},
		Waited: func(time.Duration) {}, WrittenOff: func(string, string, int64) {}, Receipt: func(service.Receipt) {},
	}
}

// begin forgets what was told of the request before.
func (t *tally) begin() { t.met, t.refusal, t.nowhere, t.strange = t.met[:0], nil, 0, false }

// came counts a request when it is asked.
func (t *tally) came(at int64) { t.second.count(at) }

// count counts a request of which everything was told. holder is the limit that let it
// wait, if it did.
func (t *tally) count(v *Verdict, row *Row, holder *descriptors.Limit) {
	t.total.count(v, row.At)
	t.total.wait, t.total.longest = t.total.wait+v.Waited, max(t.total.longest, v.Waited)
	if v.Waited > 0 {
		t.total.waited++
	}
	switch {
	case v.Admitted:
	case v.Reason == "unmatched":
		t.refused.unmatched++
	case v.Reason == "limit":
		t.refused.limit++
	default:
		t.refused.excess++
	}
	if t.nowhere > 0 {
		t.unmatched++
	}
	if t.strange {
		t.unknown++
	}
	key := ""
	if t.refusal != nil {
		key = entriesText(t.refusal)
		t.total.keys.add(key)
	}
	for i := range t.met {
		d := &t.met[i]
		if d.outcome == service.Refunded || d.outcome == service.Settled {
			t.of(d.limit).tokens += d.tokens
			continue
		}
		c := t.of(d.limit)
		c.meet(d, v, row.At)
		if d.limit == holder && v.Waited > 0 {
			c.waited++
			c.wait, c.longest = c.wait+v.Waited, max(c.longest, v.Waited)
		}
		if d.outcome == service.Denied && d.limit.Name == v.Limit && c.keys != nil {
			c.keys.add(key)
		}
	}
}

// asksStatus tells that the status of the response decides over a limit that was met.
func (t *tally) asksStatus() bool {
	return slices.ContainsFunc(t.met, func(d decision) bool {
		_, breaker := d.limit.Bucket.(buckets.Breaker)
		return breaker || d.limit.CountSuccess
	})
}

// of are the counts of a limit.
func (t *tally) of(l *descriptors.Limit) *counts {
	c := t.limits[l]
	if c == nil {
		c = &counts{limit: l}
		if len(t.order) < mostDrawn {
			c.course, c.keys = newCourse(t.start), newSketch()
		}
		t.limits[l], t.order = c, append(t.order, c)
	}
	return c
}

// count counts the verdict on a request.
func (c *counts) count(v *Verdict, at int64) {
	c.requests++
	if v.Admitted {
		c.admitted++
	} else {
		c.denied++
	}
	c.course.count(at, v.Admitted)
}

// meet counts what became of one limit that a request met.
func (c *counts) meet(d *decision, v *Verdict, at int64) {
	c.requests++
	c.rate.count(at)
	c.tokens += d.tokens
	refused := false
	switch d.outcome {
	case service.Denied:
		c.denied++
		refused = true
	case service.QuotaDenied:
		c.quota++
		refused = true
	case service.NotCharged:
		c.spared++
	case service.ShadowDenied:
		c.shadow++
		refused = true
	case service.Borrowed:
		c.borrowed++
		c.admitted++
	default:
		c.admitted++
	}
	if c.course != nil && d.outcome != service.NotCharged {
		c.course.count(at, !refused)
	}
}

var escape = strings.NewReplacer(`\`, `\\`, `,`, `\,`)

// entriesText is a descriptor as weir explain -d takes it.
func entriesText(entries []descriptors.Entry) string {
	var b strings.Builder
	for i, e := range entries {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strings.ReplaceAll(escape.Replace(e.Key), "=", `\=`))
		b.WriteByte('=')
		b.WriteString(escape.Replace(e.Value))
	}
	return b.String()
}
