package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// What happens at one time happens in the order in which it was arranged: else two runs
// of a simulation would differ, and a simulation from the service.
func TestQueue_GivesWhatIsOfOneTimeInTheOrderInWhichItCame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var q queue[int]
	type put struct {
		at     int64
		number int
	}
	var all []put
	for i := range 1000 {
		one := put{random.Int64N(20), i}
		all = append(all, one)
		q.push(one.at, one.number)
	}
	slices.SortStableFunc(all, func(a, b put) int { return int(a.at - b.at) })
	for _, want := range all {
		if _, _, early := q.next(want.at - 1); early {
			t.Fatalf("something comes before %d", want.at)
		}
		if at, got, ok := q.next(want.at); !ok || at != want.at || got != want.number {
			t.Fatalf("%d at %d, %v: want %d at %d", got, at, ok, want.number, want.at)
		}
	}
	if _, _, more := q.next(math.MaxInt64); more {
		t.Error("there is more than was put in")
	}
}
