package ads

import (
	"math"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

func TestPause_DoublesUpToTheLongestAndIsSpread(t *testing.T) {
	const always = math.MaxInt64
	usual, slow := Backoff{}, Backoff{First: 10 * time.Second, Longest: time.Minute, Refused: 3 * time.Second, Spread: 0.25}
	for _, c := range []struct {
		of        Backoff
		failures  int
		connected bool
		most      time.Duration
		least     float64 // share of most
	}{
		{usual, 0, true, 500 * time.Millisecond, 0.5},
		{usual, 0, false, 500 * time.Millisecond, 0.5},
		{usual, 1, false, time.Second, 0.5},
		{usual, 5, true, 16 * time.Second, 0.5},
		{usual, 6, true, 30 * time.Second, 0.5},
		{usual, 1 << 40, true, 30 * time.Second, 0.5},
		{slow, 0, true, 10 * time.Second, 0.75},
		{slow, 2, true, 40 * time.Second, 0.75},
		{slow, 3, true, time.Minute, 0.75},
		{slow, 0, false, 3 * time.Second, 0.75},
		{slow, 9, false, 3 * time.Second, 0.75},
		{Backoff{Spread: -1}, 1, true, time.Second, 1},
		{Backoff{Spread: 7, First: time.Hour}, 1, true, time.Hour, 0},
		{Backoff{First: 1}, 0, true, leastPause, 0.5},
		{Backoff{Longest: always, Spread: -1}, 1 << 40, true, always, 1},
	} {
		b := c.of.whole()
		if got := b.pause(c.failures, c.connected, 0); got != c.most {
			t.Errorf("%+v: after %d failures, connected %v: %v, want %v", c.of, c.failures, c.connected, got, c.most)
		}
		least := leastPause
		if c.least < 1 {
			least = max(time.Duration(c.least*float64(c.most)), least)
		} else {
			least = max(c.most, least)
		}
		if got, want := b.pause(c.failures, c.connected, 1), least; got != want {
			t.Errorf("%+v: after %d failures, connected %v: at least %v, want %v", c.of, c.failures, c.connected, got, want)
		}
	}
}

// While nobody is there it is one interval that counts, and after a stream the other one.
func TestPause_IsThatOfWhatHappened(t *testing.T) {
	plane := partstest.StartControlPlane(t, loopback, "weir", nil)
	plane.Set("1", perMinute("r", "shop", 5))
	f := follow(t, plane.Addr, func(o *Options) {
		o.Backoff = Backoff{First: 50 * time.Millisecond, Refused: 20 * time.Millisecond, Spread: -1}
	}, descriptors.Options{})
	f.inForce("shop/user:5")
	plane.Stop()
	f.logged(`"retry_in":"50ms"`)
	f.logged(`"retry_in":"20ms"`)
	plane = partstest.StartControlPlane(t, plane.Addr, "weir", nil)
	plane.Set("1", perMinute("r", "shop", 6))
	f.inForce("shop/user:6")
}
