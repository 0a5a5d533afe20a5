package buckets_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

// midnight is 1 January 2027 in UTC, in microseconds: the start of a minute, an
// hour, a day, a month and a year.
const midnight = int64(1_798_761_600_000_000)

const second = int64(1_000_000) // microseconds

func perMinute(limit int64) buckets.FixedWindow {
	return buckets.FixedWindow{Limit: limit, Calendar: buckets.Calendar{Unit: buckets.CalendarMinute}}
}

// burst asks n times for one token and counts what passes.
func (b *bench) burst(bucket buckets.Bucket, n int) (admitted int) {
	for range n {
		if b.one(buckets.Charge{Key: "k", Bucket: bucket, Cost: 1}).Admitted {
			admitted++
		}
	}
	return admitted
}

// TestG04_FixedWindowAdmitsTwiceItsLimitAroundABoundary: the known fault of fixed
// windows, which documentation states and the other algorithms do not have.
func TestG04_FixedWindowAdmitsTwiceItsLimitAroundABoundary(t *testing.T) {
	sliding := buckets.SlidingWindow{Limit: 100, Window: 60 * second, Parts: buckets.DefaultParts}
	refilling, err := buckets.NewTokenBucket(100, time.Minute, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		bucket buckets.Bucket
		want   int // admitted in the two seconds
	}{{"fixed window", perMinute(100), 200}, {"sliding window", sliding, 100}, {"token bucket", refilling, 103}} {
		b := newBench(midnight + 59*second)
		admitted := b.burst(c.bucket, 300)
		b.now += 2*second - 1
		if admitted += b.burst(c.bucket, 300); admitted != c.want {
			t.Errorf("a %s of 100 a minute admits %d in two seconds around a boundary, want %d", c.name, admitted, c.want)
		}
	}
}

// TestFixedWindowHoldsItsLimitInEveryWindow, whatever is given back: what was
// taken and not given back in one window is at most the limit, and a refund that
// comes after its window has ended leaves the next one alone.
func TestFixedWindowHoldsItsLimitInEveryWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, b := perMinute(rapid.Int64Range(0, 10).Draw(t, "limit")), newBench(midnight)
		type taken struct{ at, cost int64 }
		var out []taken
		inWindow := map[int64]int64{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			b.now += rapid.SampledFrom([]int64{0, 1, second, 20 * second, 59 * second, 60*second - 1, 60 * second}).Draw(t, "pause")
			if len(out) > 0 && rapid.IntRange(0, 2).Draw(t, "refund") == 0 {
				i := rapid.IntRange(0, len(out)-1).Draw(t, "which")
				b.one(buckets.Charge{Key: "k", Bucket: f, Cost: out[i].cost, Mode: buckets.Refund, At: out[i].at})
				inWindow[out[i].at/(60*second)] -= out[i].cost
				out = append(out[:i], out[i+1:]...)
				continue
			}
			c := buckets.Charge{Key: "k", Bucket: f, Cost: rapid.Int64Range(0, 6).Draw(t, "cost")}
			o := b.one(c)
			window := b.now / (60 * second)
			if want := inWindow[window]+c.Cost <= f.Limit; o.Admitted != want {
				t.Fatalf("cost %d beside %d of %d: admitted %v", c.Cost, inWindow[window], f.Limit, o.Admitted)
			}
			if o.Admitted {
				inWindow[window] += c.Cost
				out = append(out, taken{b.now, c.Cost})
			}
			if o.Used != inWindow[window] || o.Used > f.Limit {
				t.Fatalf("%d counted, %d were taken and kept", o.Used, inWindow[window])
			}
			if end := (window + 1) * 60 * second; o.Reset.Microseconds() != end-b.now || !o.Admitted && c.Cost <= f.Limit && o.Delay != o.Reset {
				t.Fatalf("%+v, but the window ends %d us from now", o, end-b.now)
			}
		}
	})
}

// TestFixedWindowKeepsItsCountWhenItsCalendarChanges: neither a reload nor a clock
// that goes back hands out a fresh budget, and not even a refusal leaves the count
// in the old window.
func TestFixedWindowKeepsItsCountWhenItsCalendarChanges(t *testing.T) {
	b := newBench(midnight + 30*second)
	minute := perMinute(10)
	day := buckets.FixedWindow{Limit: 10, Calendar: buckets.Calendar{Unit: buckets.CalendarDay}}
	b.used("k", minute, 10)
	if o := b.one(buckets.Charge{Key: "k", Bucket: day, Cost: 1}); o.Admitted || o.Used != 10 {
		t.Fatalf("a longer window begins with %+v", o)
	}
	b.now += 60 * second // past the minute, within the day
	if o := b.one(buckets.Charge{Key: "k", Bucket: day, Cost: 1}); o.Admitted || o.Used != 10 {
		t.Fatalf("the refusal left the count in the minute: %+v", o)
	}
	b.now = midnight - 3600*second // yesterday
	o := b.one(buckets.Charge{Key: "k", Bucket: day, Cost: 1})
	if o.Admitted || o.Delay != time.Hour {
		t.Fatalf("a clock that goes back a day: %+v, want a refusal until midnight", o)
	}
	b.now = midnight
	if o := b.one(buckets.Charge{Key: "k", Bucket: day, Cost: 10}); !o.Admitted {
		t.Fatalf("the count of yesterday's window is still there: %+v", o)
	}
}
