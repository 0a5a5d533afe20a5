package descriptors

import (
	"fmt"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// CalendarUnit is Month or Year if the limit's windows are those of a calendar,
// whose Period is only its usual length, else UnknownUnit.
func (l *Limit) CalendarUnit() Unit {
	if f, ok := l.Bucket.(buckets.FixedWindow); ok {
		switch f.Calendar.Unit {
		case buckets.CalendarMonth:
			return Month
		case buckets.CalendarYear:
			return Year
		}
	}
	return UnknownUnit
}

// PeriodText is the period in its largest whole unit, as in "day" or "2 weeks",
// or as a duration where it has none; empty for what is no rate.
func (l *Limit) PeriodText() string {
	switch unit := l.CalendarUnit(); {
	case unit == Month:
		return "month"
	case unit == Year:
		return "year"
	case l.Period == 0:
		return ""
	}
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"week", week}, {"day", day}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		switch n := l.Period / u.unit; {
		case l.Period%u.unit != 0:
		case n == 1:
			return u.name
		default:
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return l.Period.String()
}

// Text says what the limit admits: "100 per minute", "5 at once"; of a breaker
// "circuit breaker".
func (l *Limit) Text() string {
	switch b := l.Bucket.(type) {
	case nil:
		return "unlimited"
	case buckets.Slots:
		return fmt.Sprintf("%d at once", b.Count)
	case buckets.Breaker:
		return "circuit breaker"
	}
	return fmt.Sprintf("%d per %s", l.Requests, l.PeriodText())
}
