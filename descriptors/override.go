package descriptors

import (
	"math"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// period is count units, if that can be counted. A month is taken as 30 days
// and a year as 365, as the reference service does.
func (u Unit) period(count uint32) (time.Duration, bool) {
	one := [...]time.Duration{Second: time.Second, Minute: time.Minute, Hour: time.Hour, Day: day, Week: week, Month: 30 * day, Year: 365 * day}
	if u == UnknownUnit || int(u) >= len(one) {
		return 0, false
	}
	n := int64(max(count, 1))
	if n > math.MaxInt64/int64(one[u]) {
		return 0, false
	}
	return time.Duration(n) * one[u], true
}

// override is the limit that came with a descriptor: a token bucket of its
// requests in its period. ok is false for one that cannot be used, because its
// unit is unknown or its numbers cannot be counted exactly: the tree decides
// then, as nothing that a caller sends is an error.
func (d *domain) override(o *Override) (l *Limit, ok bool) {
	period, ok := o.Unit.period(o.Multiplier)
	if !ok {
		return nil, false
	}
	bucket, err := buckets.NewTokenBucket(int64(o.Requests), period, int64(o.Requests))
	if err != nil {
		return nil, false
	}
	limit := d.defaults
	limit.Name, limit.Domain = overrideName, d.name
	limit.Requests, limit.Period, limit.Bucket = int64(o.Requests), period, bucket
	limit.id, limit.key = d.name+"\x00\x00"+overrideName, overrideID(o)
	return &limit, true
}

// overrideName is what metrics and headers call every limit that came with a
// request: their amounts are the caller's and have no bound.
const overrideName = "override"
