package descriptors

import (
	"strings"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// dates are where a day begins and on which day a week does.
type dates struct {
	zone      *time.Location
	weekStart time.Weekday
}

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// calendar cuts time into windows of r: by the calendar if it is one of a unit of
// a minute and longer, else counted from the epoch.
func (d dates) calendar(r rate) buckets.Calendar {
	units := map[Unit]buckets.CalendarUnit{
		Minute: buckets.CalendarMinute, Hour: buckets.CalendarHour, Day: buckets.CalendarDay,
		Week: buckets.CalendarWeek, Month: buckets.CalendarMonth, Year: buckets.CalendarYear,
	}
	unit, follows := units[r.unit]
	if !follows {
		return buckets.Calendar{Unit: buckets.Aligned, Length: r.period}
	}
	return buckets.Calendar{Unit: unit, Zone: d.zone, WeekStart: d.weekStart}
}

// calendar reads the dates of a limit that has windows of r.
func (w *walker) calendar(fields map[string]field, r rate) dates {
	own := w.dates
	w.setDates(fields, &own)
	if f, stated := fields["time_zone"]; stated && (r.unit == UnknownUnit || r.unit == Second) {
		w.warn(f.key, "remove it", "time_zone means nothing for a window that is no minute, hour, day, week, month or year")
	}
	if f, stated := fields["week_start"]; stated && r.unit != Week {
		w.warn(f.key, "remove it", "week_start means nothing for a window that is no week")
	}
	return own
}

// setDates reads time_zone and week_start into d.
func (w *walker) setDates(fields map[string]field, d *dates) {
	if f, ok := fields["time_zone"]; ok {
		if zone := w.zone(f); zone != nil {
			d.zone = zone
		}
	}
	if f, ok := fields["week_start"]; ok {
		word, _ := w.word(f, weekdays)
		for day, name := range weekdays {
			if name == word {
				d.weekStart = time.Weekday(day)
			}
		}
	}
}

// zone reads a time zone, nil if there is none of the name. Local is not one:
// replicas on two machines would cut time at two places.
func (w *walker) zone(f field) *time.Location {
	const remedy = "write a name of the time zone database, as in UTC or Europe/Berlin"
	name, ok := w.str(f)
	if !ok {
		return nil
	}
	if zone, known := w.zones[name]; known {
		return zone
	}
	zone, err := time.LoadLocation(name)
	if name == "" || strings.EqualFold(name, "local") || err != nil {
		w.fail(f.value, remedy, "time_zone cannot be %s", quote(name))
		return nil
	}
	w.zones[name] = zone
	return zone
}

// CalendarUnit is Month or Year if the limit's windows are those of a calendar,
// whose Period is only its usual length, else UnknownUnit.
func (l *Settings) CalendarUnit() Unit {
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
