package buckets_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

// inZone are the units that a time zone has a say in.
var inZone = map[string]buckets.Calendar{
	"minute":           {Unit: buckets.CalendarMinute},
	"hour":             {Unit: buckets.CalendarHour},
	"day":              {Unit: buckets.CalendarDay},
	"week from Sunday": {Unit: buckets.CalendarWeek, WeekStart: time.Sunday},
	"week from Monday": {Unit: buckets.CalendarWeek, WeekStart: time.Monday},
	"month":            {Unit: buckets.CalendarMonth},
	"year":             {Unit: buckets.CalendarYear},
}

// Each line is a window as somebody who lives there would name it. Times are
// UTC.
func TestM27_N16_TheWindowIsTheOneOfTheLocalCalendar(t *testing.T) {
	zones := zonesByName(t)
	for _, c := range []struct{ hazard, unit, zone, at, start, end string }{
		{"G-04: minutes of the clock", "minute", "UTC", "2026-07-15 12:00:59", "2026-07-15 12:00", "2026-07-15 12:01"},
		{"M-27: the natural day", "day", "UTC", "2026-07-15 23:59:59", "2026-07-15 00:00", "2026-07-16 00:00"},
		{"N16: the day ends at midnight there, not in UTC", "day", "Asia/Shanghai", "2026-07-15 16:00", "2026-07-15 16:00", "2026-07-16 16:00"},
		{"N16: and not before", "day", "Asia/Shanghai", "2026-07-15 15:59:59", "2026-07-14 16:00", "2026-07-15 16:00"},
		{"before the epoch", "day", "UTC", "1969-12-31 23:59:59", "1969-12-31 00:00", "1970-01-01 00:00"},

		{"a day of 23 hours", "day", "Europe/Berlin", "2024-03-31 12:00", "2024-03-30 23:00", "2024-03-31 22:00"},
		{"a day of 25 hours", "day", "Europe/Berlin", "2024-10-27 12:00", "2024-10-26 22:00", "2024-10-27 23:00"},
		{"no midnight, in the north", "day", "Asia/Beirut", "2024-03-31 12:00", "2024-03-30 22:00", "2024-03-31 21:00"},
		{"no midnight, in the south", "day", "America/Sao_Paulo", "2018-11-04 12:00", "2018-11-04 03:00", "2018-11-05 02:00"},
		{"midnight goes back to the day before, first 23:30", "day", "America/Sao_Paulo", "2018-02-18 01:30", "2018-02-17 02:00", "2018-02-18 03:00"},
		{"and the second 23:30", "day", "America/Sao_Paulo", "2018-02-18 02:30", "2018-02-17 02:00", "2018-02-18 03:00"},
		{"midnight twice, after the first", "day", "America/Havana", "2024-11-03 04:30", "2024-11-03 04:00", "2024-11-04 05:00"},
		{"midnight twice, after the second", "day", "America/Havana", "2024-11-03 05:30", "2024-11-03 04:00", "2024-11-04 05:00"},
		{"the first minute of the day", "day", "America/St_Johns", "2010-11-07 02:30:30", "2010-11-07 02:30", "2010-11-08 03:30"},
		{"yesterday again", "day", "America/St_Johns", "2010-11-07 02:31:30", "2010-11-07 02:30", "2010-11-08 03:30"},
		{"midnight again", "day", "America/St_Johns", "2010-11-07 03:30", "2010-11-07 02:30", "2010-11-08 03:30"},
		{"three hours back, over midnight", "day", "Antarctica/Casey", "2010-03-04 15:30", "2010-03-04 13:00", "2010-03-05 16:00"},
		{"Russia's date goes back to America's, for hours", "day", "America/Sitka", "1867-10-19 08:00", "1867-10-18 09:01:13", "1867-10-20 09:01:13"},
		{"the last of 29 December", "day", "Pacific/Apia", "2011-12-30 09:59:59", "2011-12-29 10:00", "2011-12-30 10:00"},
		{"31 December, after no 30th", "day", "Pacific/Apia", "2011-12-30 10:00", "2011-12-30 10:00", "2011-12-31 10:00"},
		{"a year of 364 days", "year", "Pacific/Apia", "2011-06-01 00:00", "2011-01-01 10:00", "2011-12-31 10:00"},
		{"an offset with seconds", "day", "Africa/Monrovia", "1972-01-06 12:00", "1972-01-06 00:44:30", "1972-01-07 00:44:30"},

		{"29 days", "month", "America/New_York", "2024-02-29 12:00", "2024-02-01 05:00", "2024-03-01 05:00"},
		{"28 days", "month", "America/New_York", "2100-02-28 12:00", "2100-02-01 05:00", "2100-03-01 05:00"},
		{"a month with a change", "month", "America/New_York", "2026-03-20 12:00", "2026-03-01 05:00", "2026-04-01 04:00"},
		{"a leap year", "year", "UTC", "2024-12-31 23:00", "2024-01-01 00:00", "2025-01-01 00:00"},
		{"the last day of a leap year", "year", "America/New_York", "2024-12-31 23:00", "2024-01-01 05:00", "2025-01-01 05:00"},
		{"Saturday is the last day", "week from Sunday", "America/New_York", "2026-03-08 04:59:59", "2026-03-01 05:00", "2026-03-08 05:00"},
		{"Sunday is the last day", "week from Monday", "America/New_York", "2026-03-08 12:00", "2026-03-02 05:00", "2026-03-09 04:00"},

		{"an hour in a zone of 45 minutes", "hour", "Asia/Kathmandu", "2026-07-15 12:00", "2026-07-15 11:15", "2026-07-15 12:15"},
		{"the first 02:30", "hour", "Europe/Berlin", "2024-10-27 00:30", "2024-10-27 00:00", "2024-10-27 01:00"},
		{"the second 02:30", "hour", "Europe/Berlin", "2024-10-27 01:30", "2024-10-27 01:00", "2024-10-27 02:00"},
		{"an hour through a whole hour's change", "hour", "America/St_Johns", "2010-11-07 02:45", "2010-11-07 02:30", "2010-11-07 03:30"},
		{"01:00 to 02:00", "hour", "Australia/Lord_Howe", "2024-04-06 14:59:59", "2024-04-06 14:00", "2024-04-06 15:00"},
		{"01:30 to 02:00, again", "hour", "Australia/Lord_Howe", "2024-04-06 15:00", "2024-04-06 15:00", "2024-04-06 15:30"},
		{"02:00 to 03:00", "hour", "Australia/Lord_Howe", "2024-04-06 15:30", "2024-04-06 15:30", "2024-04-06 16:30"},
		{"no 02:00 to 02:30", "hour", "Australia/Lord_Howe", "2024-10-05 15:45", "2024-10-05 15:30", "2024-10-05 16:00"},
		{"the clock set to the second", "hour", "Africa/Monrovia", "1972-01-07 00:44:30", "1972-01-07 00:44:30", "1972-01-07 01:00"},
		{"a minute until then", "minute", "Africa/Monrovia", "1972-01-07 00:44:29", "1972-01-07 00:43:30", "1972-01-07 00:44:30"},
		{"a minute from then", "minute", "Africa/Monrovia", "1972-01-07 00:44:59", "1972-01-07 00:44:30", "1972-01-07 00:45"},
	} {
		t.Run(c.zone+" "+c.unit+": "+c.hazard, func(t *testing.T) {
			calendar := inZone[c.unit]
			calendar.Zone = zones[c.zone]
			start, end := calendar.Bounds(instant(t, c.at))
			if start != instant(t, c.start) || end != instant(t, c.end) {
				t.Errorf("the window of %s is %s, want %s to %s", c.at, written(start, end), c.start, c.end)
			}
		})
	}
}

// At, before and after each change of each zone from 2000 to 2040, in the days
// around it, and anywhere: each window is the one that the model says.
func TestM27_N16_WindowsHoldInEveryZoneAtEveryChange(t *testing.T) {
	random := rand.New(rand.NewPCG(27, 16))
	from, to := instant(t, "2000-01-01 00:00"), instant(t, "2041-01-01 00:00")
	lastDay := instant(t, "2024-12-31 12:00") // a rule's year ends a day early for Time.ZoneBounds
	checked, changed := 0, 0
	for _, z := range distinct(zonesByName(t)) {
		at := []int64{from, to, lastDay}
		for range 20 {
			at = append(at, from+random.Int64N(to-from))
		}
		z.learn(from-year, to+2*year)
		for _, c := range z.changes {
			if from <= c && c < to {
				changed++
				at = append(at, c-1, c, c+1, c+random.Int64N(60*hour)-30*hour)
			}
		}
		for name, calendar := range inZone {
			calendar.Zone = z.Location
			for _, now := range at {
				checked++
				if wrong := z.wrong(calendar, now); wrong != "" {
					start, end := calendar.Bounds(now)
					t.Errorf("%s, %s at %s is %s: %s", z.Location, name, written(now), written(start, end), wrong)
					break
				}
			}
		}
	}
	t.Logf("%d changes, %d windows", changed, checked)
	if changed < 10_000 {
		t.Errorf("only %d changes met: the database has more than 10,000", changed)
	}
}

// 1970 to 2100, with rules that end, offsets with seconds, and rules that go on
// after the last change in the database.
func TestM27_N16_WindowsHoldUntil2100(t *testing.T) {
	random := rand.New(rand.NewPCG(1970, 2100))
	from, to := instant(t, "1970-01-01 00:00"), instant(t, "2100-12-31 00:00")
	zones := zonesByName(t)
	for _, name := range []string{"UTC", "Europe/Dublin", "America/New_York", "Africa/Casablanca", "Africa/Monrovia", "Australia/Lord_Howe", "Asia/Gaza", "Antarctica/Troll"} {
		z := zone{Location: zones[name]}
		z.learn(from-year, to+2*year)
		for unit, calendar := range inZone {
			calendar.Zone = z.Location
			for i := range 600 {
				now := from + random.Int64N(to-from)
				if i%3 == 0 { // the last day of a leap year, where Time.ZoneBounds is wrong
					now = time.Date(1972+4*random.IntN(32), 12, 31, random.IntN(24), random.IntN(60), 0, 0, time.UTC).UnixMicro()
				}
				if wrong := z.wrong(calendar, now); wrong != "" {
					start, end := calendar.Bounds(now)
					t.Fatalf("%s, %s at %s is %s: %s", name, unit, written(now), written(start, end), wrong)
				}
			}
		}
	}
}

// TestG04_AlignedWindowsStartAtMultiplesOfTheirLength since the epoch, whatever
// the zone.
func TestG04_AlignedWindowsStartAtMultiplesOfTheirLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Int64Range(1, 400*24*hour).Draw(t, "length")
		now := rapid.Int64Range(-1<<53, 1<<53).Draw(t, "now")
		c := buckets.Calendar{Length: time.Duration(length) * time.Microsecond, Zone: time.FixedZone("", 1234)}
		start, end := c.Bounds(now)
		if start > now || now >= end || end-start != length || start%length != 0 {
			t.Fatalf("[%d, %d)", start, end)
		}
	})
}

// Rules are checked when they are loaded; what slips through must not end the
// process, nor may a clock that is out of its mind.
func TestBounds_NoCalendarAndNoClockEndsTheProcess(t *testing.T) {
	zones := zonesByName(t)
	for _, z := range []*time.Location{nil, time.UTC, time.Local, zones["America/New_York"], zones["Asia/Manila"], time.FixedZone("far", 26*3600-1), time.FixedZone("far", 1-26*3600)} {
		for unit := range buckets.CalendarYear + 2 {
			for _, weekday := range []time.Weekday{-9, 0, 6, 99} {
				c := buckets.Calendar{Unit: unit, Length: time.Duration(-weekday), Zone: z, WeekStart: weekday}
				for _, now := range []int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64 - 1, math.MaxInt64} {
					c.Bounds(now)
				}
				for _, now := range []int64{-1 << 58, instant(t, "0001-01-01 00:00"), -1, 0, 1, instant(t, "9999-12-31 23:59"), 1 << 58} {
					if start, end := c.Bounds(now); start > now || now >= end {
						t.Errorf("%+v at %d: [%d, %d)", c, now, start, end)
					}
				}
			}
		}
	}
}

func TestBounds_AllocatesNothing(t *testing.T) {
	zone := zonesByName(t)["America/New_York"]
	for name, c := range inZone {
		c.Zone = zone
		now := instant(t, "2026-03-08 12:00")
		if allocated := testing.AllocsPerRun(100, func() { c.Bounds(now) }); allocated != 0 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
}

func BenchmarkBounds(b *testing.B) {
	zone := zonesByName(b)["America/New_York"]
	b.Run("aligned", func(b *testing.B) { benchmarkBounds(b, buckets.Calendar{Length: time.Second}, 1_784_116_800_000_000) })
	for name, c := range inZone {
		b.Run(name+"/UTC", func(b *testing.B) { benchmarkBounds(b, c, instant(b, "2026-07-15 12:00")) })
		c.Zone = zone
		b.Run(name+"/New York", func(b *testing.B) { benchmarkBounds(b, c, instant(b, "2026-07-15 12:00")) })
		b.Run(name+"/New York, day of a change", func(b *testing.B) { benchmarkBounds(b, c, instant(b, "2026-11-01 12:00")) })
	}
}

func benchmarkBounds(b *testing.B, c buckets.Calendar, now int64) {
	b.ReportAllocs()
	for b.Loop() {
		c.Bounds(now)
	}
}

// Microseconds.
const (
	hour = int64(time.Hour / time.Microsecond)
	year = 366 * 24 * hour
)
