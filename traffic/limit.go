package traffic

import "github.com/weir-rls/weir/descriptors"

// limit is what is known of one that is followed.
type limit struct {
	tally *descriptors.Tally // the first two are what a request looks at
	keys  sketch

	name
	place   int
	before  Counts // as they were at the end of the last second
	lastMet int    // the second

	seconds, tens ring[Counts]
	ten           Counts // of the ten seconds that are not over
}

func newLimit(of name, tally *descriptors.Tally, second int) *limit {
	l := &limit{name: of, tally: tally, lastMet: second, seconds: newRing[Counts](Seconds), tens: newRing[Counts](Tens)}
	l.keys.begin(second)
	return l
}

// begin has counts of the time before forgotten, with that of the request which made the
// limit followed.
func (l *limit) begin(counted func(*descriptors.Tally, string) uint64) {
	l.before = countsOf(l.tally, counted)
}

// countsOf are all counts of a limit.
func countsOf(t *descriptors.Tally, counted func(*descriptors.Tally, string) uint64) Counts {
	of := func(outcomes ...string) (n int64) {
		for _, outcome := range outcomes {
			n += int64(counted(t, outcome))
		}
		return n
	}
	waited := of("waited")
	return Counts{
		Admitted: of("allowed", "borrowed") + waited, Waited: waited, Refused: of("denied"),
		ShadowRefused: of("shadow_denied", "quota_denied"), NotCharged: of("not_charged"), Tokens: int64(t.Tokens.Load()),
	}
}

func (l *limit) met(key string, u Use, tokens int64) {
	if key != "" {
		l.keys.count(key, u != Settled, u == Refused, tokens)
	}
}

func (l *limit) tick(second int, counted func(*descriptors.Tally, string) uint64) {
	now := countsOf(l.tally, counted)
	step := now
	step.add(l.before, -1)
	l.before = now
	if step != (Counts{}) {
		l.lastMet = second
	}
	l.push(second, step)
	l.keys.tick(second)
}

// skip is a second in which nobody counted.
func (l *limit) skip(second int) { l.push(second, Counts{}) }

func (l *limit) push(second int, step Counts) {
	l.seconds.push(step)
	l.ten.add(step, 1)
	if second%10 == 0 {
		l.tens.push(l.ten)
		l.ten = Counts{}
	}
}

func (c *Counts) add(other Counts, sign int64) {
	c.Admitted += sign * other.Admitted
	c.Waited += sign * other.Waited
	c.Refused += sign * other.Refused
	c.ShadowRefused += sign * other.ShadowRefused
	c.NotCharged += sign * other.NotCharged
	c.Tokens += sign * other.Tokens
}

func sum(all []Counts) (total Counts) {
	for _, c := range all {
		total.add(c, 1)
	}
	return total
}
