package buckets_test

import (
	"archive/zip"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// zone is the model: what the clock on the wall shows, and when it is set.
type zone struct {
	*time.Location
	changes []int64
}

// learn finds the instants in [from, to) at which the clock is set, by looking
// at it once a day. It does not ask for Time.ZoneBounds, which the code does.
func (z *zone) learn(from, to int64) {
	offset := func(at int64) int {
		_, offset := time.UnixMicro(at).In(z.Location).Zone()
		return offset
	}
	const second = int64(time.Second / time.Microsecond)
	before := offset(from)
	for at := from; at < to; at += 24 * hour {
		after := offset(at + 24*hour)
		if after != before {
			low, high := at, at+24*hour
			for high-low > second {
				middle := (low/second + high/second) / 2 * second
				if offset(middle) == before {
					low = middle
				} else {
					high = middle
				}
			}
			z.changes = append(z.changes, high)
		}
		before = after
	}
}

// wrong says what is wrong with the window that holds now.
func (z *zone) wrong(c buckets.Calendar, now int64) string {
	start, end := c.Bounds(now)
	if start > now || now >= end {
		return "it does not hold the instant"
	}
	for _, inside := range []int64{start, end - 1} {
		if s, e := c.Bounds(inside); s != start || e != end {
			return "another one from within: " + written(s, e)
		}
	}
	if _, e := c.Bounds(start - 1); e != start {
		return "the one before ends at " + written(e)
	}
	if s, _ := c.Bounds(end); s != end {
		return "the one after begins at " + written(s)
	}
	// From one change to the next the clock runs evenly: what holds at the ends
	// holds between them.
	ends := []int64{start - 1, start, now, end - 1}
	for _, at := range z.changes {
		if start-60*hour <= at && at < end {
			ends = append(ends, at-1, at)
		}
	}
	if c.Unit == buckets.CalendarMinute || c.Unit == buckets.CalendarHour {
		return z.wrongByTheClock(c, start, end, ends)
	}
	return z.wrongByTheDate(c, start, end, ends)
}

// wrongByTheDate: the window is from the first instant with its date to the
// first instant with a later one.
func (z *zone) wrongByTheDate(c buckets.Calendar, start, end int64, ends []int64) string {
	name := z.date(c, start)
	for _, at := range ends {
		if at < start && z.date(c, at) >= name {
			return fmt.Sprintf("it began before, at %s the latest", written(at))
		}
		if start <= at && at < end && z.date(c, at) > name {
			return fmt.Sprintf("it was over at %s", written(at))
		}
	}
	if z.date(c, end) <= name {
		return "it goes on"
	}
	return ""
}

// date is the unit that the calendar on the wall shows, as the number 20261231 for
// a day, or a week that begins on it.
func (z *zone) date(c buckets.Calendar, at int64) int {
	local := time.UnixMicro(at).In(z.Location)
	year, month, day := local.Date()
	switch c.Unit {
	case buckets.CalendarYear:
		return year
	case buckets.CalendarMonth:
		return year*100 + int(month)
	case buckets.CalendarWeek:
		for weekday := local.Weekday(); weekday != c.WeekStart; weekday = (weekday + 6) % 7 {
			day--
		}
		year, month, day = time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Date()
	}
	return year*10_000 + int(month)*100 + day
}

// wrongByTheClock: within a window the clock's seconds, and minutes, run on; it
// ends where they are 0 or jump.
func (z *zone) wrongByTheClock(c buckets.Calendar, start, end int64, ends []int64) string {
	length := hour
	if c.Unit == buckets.CalendarMinute {
		length = hour / 60
	}
	shown := func(at int64) int64 {
		local := time.UnixMicro(at).In(z.Location)
		return (int64(local.Minute())*60_000_000 + int64(local.Second())*1_000_000 + int64(local.Nanosecond())/1000) % length
	}
	for _, at := range ends {
		if start <= at && at < end && shown(at) != shown(start)+at-start {
			return fmt.Sprintf("the clock shows %dus past at its start and %dus past at %s", shown(start), shown(at), written(at))
		}
	}
	for _, at := range []int64{start, end} {
		if shown(at) != 0 && shown(at) == shown(at-1)+1 {
			return fmt.Sprintf("the clock runs on at %s, %dus past", written(at), shown(at))
		}
	}
	return ""
}

// zonesByName reads the time zones that Go embeds, not the machine's.
func zonesByName(t testing.TB) map[string]*time.Location {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	zones := map[string]*time.Location{}
	for _, f := range archive.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		if zones[f.Name], err = time.LoadLocationFromTZData(f.Name, data); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
	return zones
}

// distinct is each zone in the order of names.
func distinct(zones map[string]*time.Location) []*zone {
	var all []*zone
	for _, location := range zones {
		all = append(all, &zone{Location: location})
	}
	slices.SortFunc(all, func(a, b *zone) int { return strings.Compare(a.String(), b.String()) })
	return all
}

func instant(t testing.TB, text string) int64 {
	t.Helper()
	at, err := time.Parse(time.DateTime, (text + ":00")[:len(time.DateTime)])
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMicro()
}

// written gives instants in UTC, to the microsecond.
func written(instants ...int64) string {
	var all []string
	for _, at := range instants {
		all = append(all, time.UnixMicro(at).UTC().Format("2006-01-02 15:04:05.999999"))
	}
	return strings.Join(all, " to ")
}
