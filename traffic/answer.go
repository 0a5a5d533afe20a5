package traffic

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/weir-rls/weir/descriptors"
)

const (
	sparkTens = 30  // steps of a Spark
	mostTold  = 100 // limits of an Event
	mostText  = 120 // characters of Key.Text
)

// Overview is what happened until the end of the last second, of the limits of one
// domain, or of all if it is empty.
func (t *Traffic) Overview(domain string) Overview {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.end(t.second)
	o := Overview{
		Now: end, Limits: []Limit{}, Unfollowed: t.unfollowed.Load(),
		Service: Service{
			State: t.state(), Last: t.service.seconds.newest(), Minute: t.service.minute(),
			Seconds: series(&t.service.seconds, 1, end), Hour: series(&t.service.tens, 10, t.end(t.second/10*10)),
		},
	}
	for _, l := range t.limits {
		if domain == "" || l.domain == domain {
			o.Limits = append(o.Limits, l.short())
		}
	}
	slices.SortFunc(o.Limits, func(a, b Limit) int { return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Limit, b.Limit)) })
	return o
}

// end is when a second ended.
func (t *Traffic) end(second int) time.Time {
	return t.started.Add(time.Duration(second) * time.Second).UTC().Round(0).Truncate(time.Millisecond)
}

func (t *Traffic) state() State {
	s := State{Waiting: t.options.Waiting(), Store: "up"}
	if !t.options.StoreUp() {
		s.Store = "down"
	}
	return s
}

func series[T any](of *ring[T], step float64, end time.Time) Series[T] {
	return Series[T]{step, end, of.last(len(of.steps))}
}

func (l *limit) short() Limit {
	s := Limit{
		Domain: l.domain, Limit: l.limit, Last: l.seconds.newest(), Minute: sum(l.seconds.last(60)),
		Spark: Spark{Step: 10, Admitted: []int64{}, Refused: []int64{}},
	}
	for _, c := range l.tens.last(sparkTens) {
		s.Spark.Admitted = append(s.Spark.Admitted, c.Admitted)
		s.Spark.Refused = append(s.Spark.Refused, c.Refused+c.ShadowRefused)
	}
	return s
}

// Limit is what happened at a limit until the end of the last second, and at its keys
// until now. Of one that no request met lately it tells zeros.
func (t *Traffic) Limit(domain, called string) Detail {
	of := name{domain, called}
	t.mu.Lock()
	l := t.limits[of]
	if l == nil {
		l = newLimit(of, nil, t.second)
	}
	end := t.end(t.second)
	d := Detail{
		Limit: l.short(), Now: end,
		Seconds: series(&l.seconds, 1, end), Hour: series(&l.tens, 10, t.end(t.second/10*10)),
	}
	t.mu.Unlock()

	top, since, before := l.keys.top()
	if before {
		since -= int(Generation.Seconds())
	}
	d.Keys = Keys{Since: t.end(since), Hits: top.total, MaxError: top.unknown, OneIn: top.oneIn, Top: []Key{}}
	stated := t.stated(of)
	for _, k := range top.keys {
		d.Keys.Top = append(d.Keys.Top, keyOf(k, stated))
	}
	return d
}

// stated is a limit as the rules state it, nil if they do not.
func (t *Traffic) stated(of name) *descriptors.Limit {
	if rules := t.options.Rules(); rules != nil {
		for _, l := range rules.Limits() {
			if l.Domain == of.domain && l.Name == of.limit {
				return l
			}
		}
	}
	return nil
}

func keyOf(c counted, stated *descriptors.Limit) Key {
	k := Key{Entries: []Entry{}, Hits: c.hits, Error: c.over, Refused: c.refused, Tokens: c.tokens}
	var text strings.Builder
	for i, e := range descriptors.ReadKey(c.key, stated) {
		k.Entries = append(k.Entries, Entry{e.Key, e.Value, e.Hidden})
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(e.Key + "=" + e.Value)
	}
	k.Text = printable(text.String())
	return k
}

// printable is a text with what is not printable escaped, cut to mostText characters.
func printable(s string) string {
	var b strings.Builder
	for n := 0; s != ""; n++ {
		if n == mostText {
			return b.String() + "…"
		}
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[0])|0x100, 16)[1:])
		case !unicode.IsPrint(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
		s = s[size:]
	}
	return b.String()
}

// event is what happened in the last second. t.mu is held.
func (t *Traffic) event() Event {
	e := Event{Time: t.end(t.second), State: t.state(), Service: t.service.seconds.newest(), Limits: []LimitEvent{}}
	for _, l := range t.limits {
		if c := l.seconds.newest(); c != (Counts{}) {
			e.Limits = append(e.Limits, LimitEvent{l.domain, l.limit, c})
		}
	}
	slices.SortFunc(e.Limits, func(a, b LimitEvent) int {
		return cmp.Or(
			cmp.Compare(b.Refused+b.ShadowRefused, a.Refused+a.ShadowRefused), cmp.Compare(b.Admitted, a.Admitted),
			cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Limit, b.Limit),
		)
	})
	if len(e.Limits) > mostTold {
		e.LeftOut = len(e.Limits) - mostTold
		e.Limits = e.Limits[:mostTold]
	}
	return e
}
