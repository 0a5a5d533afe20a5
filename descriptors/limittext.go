package descriptors

import (
	"fmt"

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
