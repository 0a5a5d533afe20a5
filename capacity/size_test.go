package capacity

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-rls/weir/descriptors"
)

// pools draws pools that follow instances and failures.
func pools() *rapid.Generator[descriptors.Pool] {
	return rapid.Custom(func(t *rapid.T) descriptors.Pool {
		size := rapid.OneOf(rapid.Int64Range(1, 50), rapid.Int64Range(1, 1<<32-1)).Draw(t, "size")
		p := descriptors.Pool{Size: size, Least: rapid.Int64Range(1, size).Draw(t, "least")}
		p.Instances = &descriptors.Instances{
			UnitsEach: rapid.Int64Range(1, 100).Draw(t, "each"), Step: rapid.Int64Range(1, 100).Draw(t, "step"),
			Min: rapid.Int64Range(1, size).Draw(t, "min"), Max: rapid.Int64Range(size, 1<<32-1).Draw(t, "max"),
		}
		p.Feedback = &descriptors.Feedback{BadPercent: rapid.Int64Range(0, 99).Draw(t, "bad"), MinPercent: rapid.Int64Range(1, 100).Draw(t, "lowest")}
		return p
	})
}

// Whatever lives and whatever fails: a pool is never larger than its live units,
// within min and max, times the factor; it shrinks at once, and rises by at most
// the step for the time that has passed.
func TestC13_ASizeIsNeverAboveItsLiveUnits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pools().Draw(t, "pool")
		s, _ := decode(nil, p)
		level, factor := s.Level, s.Factor
		for range rapid.IntRange(1, 40).Draw(t, "ticks") {
			units := rapid.Int64Range(0, 2*p.Instances.Max).Draw(t, "units")
			elapsed := time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "elapsed"))
			ended := rapid.Int64Range(0, 100).Draw(t, "ended")
			factor = adjust(factor, p.Feedback, counts{ended: ended, bad: rapid.Int64Range(0, ended).Draw(t, "bad"), limited: rapid.Int64Range(0, 2).Draw(t, "limited")})
			before := level
			to := shrunk(clamp(p.Instances, units), factor)
			level = step(before, to, p.Size, p.Instances.Step, elapsed)
			// In thousandths of a token, and factors in millionths.
			if most := max(p.Instances.Min, min(units, p.Instances.Max)); level > most*factor/1000 {
				t.Fatalf("%d units times %d ppm are %d thousandths", units, factor, level)
			}
			if to <= before && level != to {
				t.Fatalf("from %d it shrinks to %d instead of %d", before, level, to)
			}
			if rise, most := level-before, float64(p.Size)*1000*float64(p.Instances.Step)/100*elapsed.Seconds(); float64(rise) > most {
				t.Fatalf("it rises by %d thousandths of %d in %v, more than %d %%", rise, p.Size, elapsed, p.Instances.Step)
			}
			if to > before && elapsed >= time.Second && level < min(to, before+p.Size*10*p.Instances.Step) {
				t.Fatalf("it rises from %d to %d in %v, which falls short of %d", before, level, elapsed, to)
			}
		}
	})
}

// A size that rises by less than a token a second rises all the same.
func TestC13_ASmallPoolRises(t *testing.T) {
	level := int64(2000)
	for range 20 {
		level = step(level, 5000, 5, 1, time.Second) // 5 x 1 % of a token a second
	}
	if level != 3000 {
		t.Errorf("after 20 s at 0.05/s it holds %d thousandths, want 3000", level)
	}
	if last := step(1, 1<<62, 1<<53-1, 100, time.Hour); last <= 0 {
		t.Errorf("the largest pool holds %d", last)
	}
}

// The factor stays between what the rules allow and one. A tenth goes at each bad
// second; it grows again only where somebody was refused; frozen it stays.
func TestC07_FailuresShrinkAPoolAndDemandGrowsItAgain(t *testing.T) {
	b := &descriptors.Feedback{BadPercent: 5, MinPercent: 30}
	for _, c := range []struct {
		name   string
		counts counts
		from   int64
		want   int64
	}{
		{"more than the share failed", counts{ended: 100, bad: 6}, whole, 900_000},
		{"and somebody was refused beside", counts{ended: 100, bad: 6, limited: 50}, whole, 900_000},
		{"just the share", counts{ended: 100, bad: 5}, 500_000, 500_000},
		{"too few to tell", counts{ended: 19, bad: 19}, whole, whole},
		{"enough to tell", counts{ended: 20, bad: 2}, whole, 900_000},
		{"nobody was refused", counts{ended: 100}, 500_000, 500_000},
		{"somebody was refused", counts{ended: 100, limited: 1}, 500_000, 520_000},
		{"never above the whole", counts{limited: 1}, 990_000, whole},
		{"never below the least", counts{ended: 100, bad: 100}, 310_000, 300_000},
	} {
		if got := adjust(c.from, b, c.counts); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	frozen := &descriptors.Feedback{BadPercent: 5, MinPercent: 30, Freeze: true}
	if got := adjust(700_000, frozen, counts{ended: 100, bad: 100, limited: 9}); got != 700_000 {
		t.Errorf("frozen at 700000 it became %d", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := pools().Draw(t, "pool").Feedback
		f := int64(whole)
		for range rapid.IntRange(1, 200).Draw(t, "seconds") {
			ended := rapid.Int64Range(0, 1000).Draw(t, "ended")
			f = adjust(f, b, counts{ended, rapid.Int64Range(0, ended).Draw(t, "failed"), rapid.Int64Range(0, 3).Draw(t, "limited")})
			if f < b.MinPercent*10_000 || f > whole {
				t.Fatalf("the factor is %d ppm, outside of %d %% and 100 %%", f, b.MinPercent)
			}
		}
	})
}

// What a status says of the backends: broken, too late and overloaded are failures;
// a client that left says nothing, nor does one whose request was wrong.
func TestC07_WhichEndsAreFailures(t *testing.T) {
	for status, want := range map[int64][2]bool{
		200: {false, true}, 304: {false, true}, 404: {false, true}, 429: {true, true},
		500: {true, true}, 503: {true, true}, 504: {true, true}, 0: {false, false},
	} {
		if failed, says := bad(status); [2]bool{failed, says} != want {
			t.Errorf("%d: failed %v, says something %v", status, failed, says)
		}
	}
}
