package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// farFromMidnight is the one of two time zones, half a day apart, whose midnight
// is farther away, so that no test runs across it.
func farFromMidnight(t *testing.T) *time.Location {
	t.Helper()
	for _, name := range []string{"Asia/Taipei", "America/Bogota"} { // +8 and -5, no daylight saving
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		if hour := time.Now().In(zone).Hour(); hour >= 6 && hour < 20 {
			return zone
		}
	}
	t.Fatal("it is night in both zones")
	return nil
}

// 100 / 60 s and 10000 / 86400 s with small numbers: both must pass, and what one
// refuses uses nothing of the other.
func TestG02_G03_AShortLimitAndADaysQuotaHoldTogether(t *testing.T) {
	zone := farFromMidnight(t)
	rules := fmt.Sprintf(`domain: e2e
descriptors:
  - key: user
    limits:
      - {name: short, rate: 4/3s}
      - {name: daily, rate: 6/day, time_zone: %s}
`, zone)
	onBothStores(t, spec{rules: rules}, func(t *testing.T, top *topology) {
		began := time.Now()
		calls := top.beginAll(t, 40, waiter)
		got := settled(calls...)
		if most := 4 + refilled(4.0/3, time.Since(began)); got[200] < 4 || got[200] > most || got[200] > 5 {
			t.Fatalf("%v, want 4 to %d passed", got, most)
		}
		for _, c := range calls { // the day's quota says nothing yet
			if c.status == 429 && c.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After is %q, want the second until the short limit has a token", c.header.Get("Retry-After"))
			}
		}
		eventually(t, "six have passed", func() bool {
			got[settledOne(top.begin(t, got[429], waiter)).status]++
			return got[200] == 6
		})
		var refused *call
		eventually(t, "the day's quota refuses alone or first", func() bool {
			refused = settledOne(top.begin(t, got[429], waiter))
			got[refused.status]++
			return refused.header.Get("Retry-After") != "1"
		})
		now := time.Now().In(zone)
		midnight := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, zone)
		least, most := int(time.Until(midnight).Seconds()), int(time.Until(midnight).Seconds())+10
		for _, name := range []string{"Retry-After", "X-Ratelimit-Reset"} {
			if s, err := strconv.Atoi(refused.header.Get(name)); err != nil || s < least || s > most {
				t.Errorf("%s is %q, want the %d s until midnight in %s", name, refused.header.Get(name), least, zone)
			}
		}
		if !strings.Contains(refused.body, `"daily"`) || got[200] != 6 || top.served.Load() != 6 {
			t.Errorf("%v, then %q; want 6 of the day's 6 passed", got, refused.body)
		}
	})
}
