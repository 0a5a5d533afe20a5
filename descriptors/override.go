package descriptors

import (
	"time"

	"github.com/weir-rls/weir/buckets"
)

// maxOverride is the longest period of a limit that comes with a request: a window
// of more could end later than numbers are exact.
const maxOverride = 100 * 365 * day

// period is count units, if that can be counted. A month is taken as 30 days
// and a year as 365, as the reference service does.
func (u Unit) period(count uint32) (time.Duration, bool) {
	one := [...]time.Duration{Second: time.Second, Minute: time.Minute, Hour: time.Hour, Day: day, Week: week, Month: 30 * day, Year: 365 * day}
	if u == UnknownUnit || int(u) >= len(one) {
		return 0, false
	}
	n := int64(max(count, 1))
	if n > int64(maxOverride/one[u]) {
		return 0, false
	}
	return time.Duration(n) * one[u], true
}

// override is the limit that came with a descriptor: its requests in its period,
// of the algorithm that a rule of this period has by default. ok is false for one
// that cannot be used, because its unit is unknown or its numbers cannot be
// counted exactly: the tree decides then, as nothing that a caller sends is an
// error.
func (d *domain) override(o *Override) (l *Limit, ok bool) {
	period, ok := o.Unit.period(o.Multiplier)
	if !ok {
		return nil, false
	}
	both := struct { // in one allocation
		Limit
		settings Settings
	}{settings: d.defaults}
	limit := &both.Limit
	limit.Settings = &both.settings
	limit.Name, limit.Domain = OverrideName, d.name
	limit.Requests, limit.Period = int64(o.Requests), period
	limit.stat = d.stat
	if d.dialect == Reference {
		d.referenceOverride(o, limit)
		return limit, true
	}
	algorithm := defaultAlgorithm(period)
	if algorithm == tokenBucket {
		terms := buckets.Terms{Tokens: limit.Requests, Period: period, Capacity: limit.Requests, MaxDebt: limit.Requests}
		bucket, _, err := withDebt(&terms)
		if err != nil {
			return nil, false
		}
		limit.Bucket = bucket
	} else {
		r := rate{tokens: limit.Requests, period: period}
		if o.Multiplier <= 1 {
			r.unit = o.Unit
		}
		limit.Bucket = buckets.FixedWindow{Limit: r.tokens, Debt: r.tokens, Calendar: d.dates.calendar(r)}
	}
	limit.key = overrideID(o, algorithm)
	limit.id = d.name + "\x00\x00" + limit.key
	return limit, true
}

// OverrideName is what metrics and headers call every limit that came with a
// request: their amounts are the caller's and have no bound.
const OverrideName = "override"
