package descriptors

import (
	"time"

	"github.com/weir-rls/weir/buckets"
)

// failing is what a test and a property have in common.
type failing interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkLimit holds a limit that was loaded to what every store relies on: numbers
// that are exact in doubles, and a request of one hit that can pass.
func checkLimit(t failing, l *Limit) {
	t.Helper()
	const now = 1_800_000_000_000_000
	full := int64(0)
	switch b := l.Bucket.(type) {
	case nil:
		if !l.Unlimited {
			t.Fatalf("%q has no bucket", l.Name)
		}
		return
	case buckets.TokenBucket:
		if full = b.Full(); full > 0 && (b.Quantum <= 0 || b.TicksPerQuantum <= 0 || b.Missing < 0 || b.Missing > full ||
			full+max(b.Debt, b.Ahead) > buckets.MaxTicks/2) {
			t.Fatalf("%q is %+v", l.Name, b)
		}
	case buckets.FixedWindow:
		start, end := b.Calendar.Bounds(now)
		if full = b.Limit; b.Debt < 0 || 2*b.Limit+b.Debt > buckets.MaxTicks || start > now || now >= end {
			t.Fatalf("%q is %+v", l.Name, b)
		}
	case buckets.SlidingWindow:
		if full = b.Limit; b.Debt < 0 || 2*b.Limit+b.Debt > buckets.MaxTicks || b.Window < 1000 || b.Window > maxPeriod.Microseconds() || b.Parts != 60 {
			t.Fatalf("%q is %+v", l.Name, b)
		}
	case buckets.Slots:
		if full = b.Count; b.Count < 1 || b.TTL < 1_000_000 || b.TTL > day.Microseconds() {
			t.Fatalf("%q is %+v", l.Name, b)
		}
	case buckets.Breaker:
		if full = b.Full(); b.Failures < 1 || b.Probes < 1 || b.OpenFor <= 0 || b.ProbeTTL < b.OpenFor {
			t.Fatalf("%q is %+v", l.Name, b)
		}
	}
	if l.MaxWait < 0 || l.MaxWait > 24*time.Hour || (l.MaxWait > 0) != (l.MaxWaiters > 0) {
		t.Fatalf("%q waits %v, %d at a time", l.Name, l.MaxWait, l.MaxWaiters)
	}
	if l.ID() == "" || l.Period > 0 && l.PeriodText() == "" {
		t.Fatalf("%q has the id %q and the period %q", l.Name, l.ID(), l.PeriodText())
	}
	if full > 0 {
		checkCanPass(t, l, now)
	}
}

// checkCanPass asks a bucket that has had time to fill for the heaviest hit.
func checkCanPass(t failing, l *Limit, now int64) {
	t.Helper()
	heaviest := l.Weight.Default
	for _, n := range l.Weight.Values {
		heaviest = max(heaviest, n)
	}
	if _, ok := l.Bucket.(buckets.Breaker); ok {
		heaviest = 1
	}
	b := l.Bucket
	if token, ok := b.(buckets.TokenBucket); ok {
		token.Missing = 0
		b = token
	}
	c := buckets.Charge{Key: "k", ClassKey: "c", Bucket: b, Class: l.Class, Cost: heaviest, Lease: "l"}
	var classes []*buckets.State
	if classes = []*buckets.State{nil}; l.Class != nil {
		classes[0] = &buckets.State{}
	}
	if o := buckets.Judge([]buckets.Charge{c}, []*buckets.State{{}}, classes, now); !o[0].Admitted {
		t.Fatalf("%q never admits its weight of %d: %+v, class %+v", l.Name, heaviest, l.Bucket, l.Class)
	}
}
