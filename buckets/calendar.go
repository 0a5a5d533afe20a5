package buckets

import (
	"math"
	"time"
)

// CalendarUnit is how a [Calendar] cuts time.
type CalendarUnit uint8

const (
	Aligned        CalendarUnit = iota // windows of Calendar.Length, counted from the epoch
	CalendarMinute                     // begins when the clock of the zone shows :00 seconds
	CalendarHour                       // begins when the clock of the zone shows :00 minutes
	CalendarDay                        // begins at 00:00 in the zone
	CalendarWeek                       // begins at 00:00 on Calendar.WeekStart
	CalendarMonth                      // begins at 00:00 on the 1st
	CalendarYear                       // begins at 00:00 on 1 January
)

// Calendar cuts time into windows, one after the other without a gap, so that
// each instant is in exactly one.
//
// Days and longer units follow the date. A window begins at the first instant
// whose local date is in it, and ends where the next one begins; a date that
// comes back when clocks go back does not begin again:
//
//   - Berlin, 31 March 2024, 02:00 -> 03:00: the day has 23 hours.
//   - São Paulo, 4 November 2018, 00:00 -> 01:00: the day begins at 01:00.
//   - Apia, 30 December 2011, left out: the 29th ends where the 31st begins.
//   - St. John's, 7 November 2010, 00:01 -> 23:01: the 7th has begun at 00:00 and
//     stays, through the 59 minutes in which the date is the 6th again. To begin
//     it at the second midnight would show its clients a reset at neither.
//
// Minutes and hours follow the clock. A change by a whole number of them goes
// unnoticed: when Berlin's clocks go back from 03:00 to 02:00, two windows of an
// hour follow each other. Any other change ends a window and begins one, so that
// none is longer than its unit: at Lord Howe, on 7 April 2024, 02:00 -> 01:30,
// the hours are 01:00 to 02:00, 01:30 to 02:00 and 02:00 to 03:00, the middle one
// of 30 minutes. The price is a whole budget for a short window, once a year.
type Calendar struct {
	Unit      CalendarUnit
	Length    time.Duration  // of Aligned windows: whole microseconds; anything shorter is one microsecond
	Zone      *time.Location // of all other windows; nil is UTC
	WeekStart time.Weekday   // of CalendarWeek; the zero Weekday is Sunday
}

const (
	microsPerSecond int64 = 1_000_000
	secondsPerHour  int64 = 3600
	secondsPerDay         = 24 * secondsPerHour

	// farthest is more than any offset from UTC: RFC 8536 allows 25:59:59.
	farthest = 26 * secondsPerHour
)

// Bounds are the window that holds now: start <= now < end, all in microseconds
// since the epoch. It allocates nothing.
//
// It holds from 1970 to 2100 and as far beyond as the time zone database does,
// but not within a year of the first and last instants that an int64 holds,
// where the bounds themselves do not fit.
func (c Calendar) Bounds(now int64) (start, end int64) {
	if c.Unit == Aligned {
		length := max(1, c.Length.Microseconds())
		start = roundDown(now, length)
		return start, start + length
	}
	at := roundDown(now, microsPerSecond) / microsPerSecond
	switch {
	case c.Unit == CalendarMinute:
		start, end = c.onTheClock(at, 60)
	case c.Unit == CalendarHour:
		start, end = c.onTheClock(at, secondsPerHour)
	default:
		start, end = c.onTheDate(at)
	}
	return start * microsPerSecond, end * microsPerSecond
}

// onTheClock is the minute or hour, of length seconds, that holds at.
func (c Calendar) onTheClock(at, length int64) (start, end int64) {
	// An offset that differs by whole lengths shows the same minutes and seconds.
	shift := func(changed int64) bool { return (c.offset(changed)-c.offset(changed-1))%length != 0 }

	offset := c.offset(at)
	start = roundDown(at+offset, length) - offset
	end = start + length
	for changed := c.until(start); changed < end; changed = c.until(changed) {
		switch {
		case !shift(changed):
		case changed <= at:
			start = changed
		default:
			return start, changed
		}
	}
	return start, end
}

// onTheDate is the day or longer unit that holds at.
func (c Calendar) onTheDate(at int64) (start, end int64) {
	offset := c.offset(at)
	first, next := c.dates(at + offset)
	// No change of the clock since before any clock could show first: nearly always
	// so for a day.
	if c.until(first-farthest) > next-offset {
		return first - offset, next - offset
	}
	// The latest date and time that the clock has shown so far: not what it shows
	// now, if it was set back a while ago.
	latest := at + offset // no clock could show that before at-2*farthest
	for changed := c.until(at - 2*farthest); changed <= at; changed = c.until(changed) {
		latest = max(latest, changed-1+c.offset(changed-1))
	}
	first, next = c.dates(latest)
	return c.reaches(first), c.reaches(next)
}

// reaches is the first instant at which the clock shows local or later. Where
// clocks go forward past local, that is the instant at which they do.
func (c Calendar) reaches(local int64) int64 {
	for at := local - farthest; ; {
		changed := c.until(at)
		if at = max(at, local-c.offset(at)); at < changed {
			return at
		}
		at = changed
	}
}

// dates are the midnights between which the unit that holds local lies. Both
// count seconds as if the zone were UTC.
func (c Calendar) dates(local int64) (first, next int64) {
	midnight := roundDown(local, secondsPerDay)
	switch c.Unit {
	case CalendarDay:
		return midnight, midnight + secondsPerDay
	case CalendarWeek:
		const thursday = int64(time.Thursday) // 1 January 1970
		weekday := midnight/secondsPerDay + thursday
		first = midnight - ((weekday-int64(c.WeekStart))%7+7)%7*secondsPerDay
		return first, first + 7*secondsPerDay
	case CalendarMonth:
		year, month, _ := time.Unix(local, 0).UTC().Date()
		return midnightOf(year, month), midnightOf(year, month+1)
	default:
		year := time.Unix(local, 0).UTC().Year()
		return midnightOf(year, time.January), midnightOf(year+1, time.January)
	}
}

func midnightOf(year int, month time.Month) int64 {
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Unix()
}

// offset is what the zone's clock is ahead of UTC, in seconds.
func (c Calendar) offset(at int64) int64 {
	if c.isUTC() {
		return 0
	}
	_, offset := time.Unix(at, 0).In(c.Zone).Zone()
	return int64(offset)
}

// until is the next instant after at before which the offset does not change. It
// may be one at which it does not change either.
//
// ZoneBounds tells no more than this where a rule goes on after the last change
// in the database, and even less: its start may lie before that last change (in
// Ciudad Juárez in December 2022), and its end is 365 days after the start of the
// year, which the last day of a leap year is past (go.dev/issue/81583).
func (c Calendar) until(at int64) int64 {
	if c.isUTC() {
		return math.MaxInt64
	}
	_, end := time.Unix(at, 0).In(c.Zone).ZoneBounds()
	if end.IsZero() {
		return math.MaxInt64
	}
	if end.Unix() <= at {
		return roundDown(at, secondsPerDay) + secondsPerDay // where the year ends
	}
	return end.Unix()
}

func (c Calendar) isUTC() bool { return c.Zone == nil || c.Zone == time.UTC }

// roundDown is the last multiple of unit that is not above x, of either sign.
func roundDown(x, unit int64) int64 {
	rest := x % unit
	if rest < 0 {
		rest += unit
	}
	return x - rest
}
