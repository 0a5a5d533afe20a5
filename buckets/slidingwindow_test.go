package buckets_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets"
)

type taken struct{ at, cost int64 }

// within is the most that was taken in any stretch of time shorter than window.
func within(all []taken, window int64) (most int64) {
	for i := range all {
		sum := int64(0)
		for _, a := range all[i:] {
			if a.at-all[i].at < window {
				sum += a.cost
			}
		}
		most = max(most, sum)
	}
	return most
}

// slidingWindows draws windows with sub-windows that do and do not divide them.
var slidingWindows = rapid.Custom(func(t *rapid.T) buckets.SlidingWindow {
	return buckets.SlidingWindow{
		Limit:  rapid.Int64Range(1, 100).Draw(t, "limit"),
		Window: rapid.SampledFrom([]int64{60 * second, second, 7, 1_000_003}).Draw(t, "window"),
		Parts:  rapid.SampledFrom([]int64{1, 2, 6, 60}).Draw(t, "parts"),
	}
})

// edges draws pauses that lead to where sub-windows and windows begin and end,
// as an adversary would.
func edges(w buckets.SlidingWindow, now int64) *rapid.Generator[int64] {
	part := (w.Window + w.Parts - 1) / w.Parts
	next := part - now%part
	return rapid.OneOf(
		rapid.SampledFrom([]int64{0, 1, next - 1, next, next + 1, w.Window - 1, w.Window, w.Window - part, w.Window + next}),
		rapid.Int64Range(0, w.Window),
	)
}

// TestG05_SlidingWindowHoldsItsLimitInAnyWindow: whoever tries the boundaries, no
// stretch of time as long as the window ever sees more than the limit of what was
// taken and not given back. A refund goes back to where it came from, so a late
// one does not admit a second lot beside others.
func TestG05_SlidingWindowHoldsItsLimitInAnyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := slidingWindows.Draw(t, "window")
		b := newBench(midnight + rapid.Int64Range(0, w.Window).Draw(t, "start"))
		var out []taken
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			b.now += max(0, edges(w, b.now).Draw(t, "pause"))
			if len(out) > 0 && rapid.IntRange(0, 3).Draw(t, "refund") == 0 {
				i := rapid.IntRange(0, len(out)-1).Draw(t, "which")
				b.one(buckets.Charge{Key: "k", Bucket: w, Cost: out[i].cost, Mode: buckets.Refund, At: out[i].at})
				out = append(out[:i], out[i+1:]...)
				continue
			}
			c := buckets.Charge{Key: "k", Bucket: w, Cost: rapid.Int64Range(1, w.Limit).Draw(t, "cost")}
			if o := b.one(c); o.Admitted {
				out = append(out, taken{b.now, c.Cost})
			}
			if most := within(out, w.Window); most > w.Limit {
				t.Fatalf("%d were taken within %d us, at most %d may be: %+v", most, w.Window, w.Limit, out)
			}
		}
	})
}

// TestG05_SlidingWindowTellsTheLeastDelay: who is refused passes after the delay,
// not a microsecond before, and at most a window and a sub-window later.
func TestG05_SlidingWindowTellsTheLeastDelay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := slidingWindows.Draw(t, "window")
		b := newBench(midnight)
		ask := func(cost int64, mode buckets.Mode) buckets.Outcome {
			return b.one(buckets.Charge{Key: "k", Bucket: w, Cost: cost, Mode: mode})
		}
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			b.now += max(0, edges(w, b.now).Draw(t, "pause"))
			ask(rapid.Int64Range(1, w.Limit).Draw(t, "cost"), buckets.Take)
		}
		cost := rapid.Int64Range(1, w.Limit).Draw(t, "asked")
		refused := ask(cost, buckets.Look)
		if refused.Admitted {
			return
		}
		part := (w.Window + w.Parts - 1) / w.Parts
		if refused.Delay <= 0 || refused.Delay.Microseconds() > (w.Parts+1)*part {
			t.Fatalf("%+v, but all is free after a window and a sub-window", refused)
		}
		b.now += refused.Delay.Microseconds() - 1
		if early := ask(cost, buckets.Look); early.Admitted {
			t.Fatalf("cost %d passes before its delay of %v", cost, refused.Delay)
		}
		b.now++
		if then := ask(cost, buckets.Look); !then.Admitted {
			t.Fatalf("cost %d is refused after its delay of %v: %+v", cost, refused.Delay, then)
		}
	})
}

// TestSlidingWindowNeverFreesTooEarlyOnAReload: a window of other sub-windows or
// of the same ones in another number forgets nothing of the last window.
func TestSlidingWindowNeverFreesTooEarlyOnAReload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := slidingWindows.Draw(t, "window")
		b := newBench(midnight)
		var out []taken
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			b.now += max(0, edges(w, b.now).Draw(t, "pause"))
			w.Parts = rapid.SampledFrom([]int64{w.Parts, w.Parts, 1, 3, 60}).Draw(t, "parts")
			c := buckets.Charge{Key: "k", Bucket: w, Cost: rapid.Int64Range(1, w.Limit).Draw(t, "cost")}
			if b.one(c).Admitted {
				out = append(out, taken{b.now, c.Cost})
			}
			if most := within(out, w.Window); most > w.Limit {
				t.Fatalf("%d were taken within %d us, at most %d may be: %+v", most, w.Window, w.Limit, out)
			}
		}
	})
}
