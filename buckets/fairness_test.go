package buckets_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// The pool that the fairness table is about holds 100 tokens and refills 10 each
// second. Its classes A, B and C ask for 1, 2 and 3 tokens a request.
const (
	fairRate     = 10
	fairCapacity = 100
	fairWarmUp   = int64(15 * time.Minute / time.Microsecond) // a full pool must not count
	fairFor      = time.Hour                                  // of virtual time
)

var fairCosts = [3]int64{1, 2, 3}

// perSecond are requests of A, B and C.
type perSecond [3]float64

// share is how much of what a class wants it gets, in percent.
func (p perSecond) share(i int, wanted perSecond) float64 { return 100 * p[i] / wanted[i] }

// crowd is three classes that ask at random, as a Poisson process each.
type crowd struct {
	wanted  perSecond
	classes []buckets.ClassTerms // none: all draw from the one bucket, and only the costs differ

	admitted perSecond
	tokens   float64    // used, each second
	starved  [3]float64 // the longest time, in seconds, from which on a refusal still came after the last admission
}

func (c *crowd) run(t *testing.T, seed uint64) {
	t.Helper()
	bucket, classes, err := buckets.NewPool(buckets.Terms{Tokens: fairRate, Period: time.Second, Capacity: fairCapacity}, c.classes)
	if err != nil {
		t.Fatal(err)
	}
	random, b := rand.New(rand.NewPCG(seed, 0)), newBench(midnight)
	from := midnight + fairWarmUp
	end := from + fairFor.Microseconds()
	var next, last [3]int64
	for i := range next {
		next[i], last[i] = c.after(random, i, midnight), midnight
	}
	for {
		i := earliest(next)
		if b.now = next[i]; b.now >= end {
			break
		}
		next[i] = c.after(random, i, b.now)
		charge := buckets.Charge{Key: "pool", Bucket: bucket, Cost: fairCosts[i]}
		if len(classes) > 0 {
			charge.Class, charge.ClassKey = &classes[i], fmt.Sprint(i)
		}
		switch o := b.one(charge); {
		case o.Admitted && b.now >= from:
			c.admitted[i] += 1 / fairFor.Seconds()
			c.tokens += float64(charge.Cost) / fairFor.Seconds()
			fallthrough
		case o.Admitted:
			last[i] = b.now
		default:
			c.starved[i] = max(c.starved[i], float64(b.now-last[i])/1e6)
		}
	}
}

// after is when class i asks next.
func (c *crowd) after(random *rand.Rand, i int, now int64) int64 {
	if c.wanted[i] == 0 {
		return math.MaxInt64
	}
	return now + int64(random.ExpFloat64()/c.wanted[i]*1e6)
}

func earliest(next [3]int64) (i int) {
	for j := range next {
		if next[j] < next[i] {
			i = j
		}
	}
	return i
}

// borrowers are three classes of so many tokens in a period each, that borrow.
func borrowers(guarantee int64, period time.Duration, reserves ...int64) (classes []buckets.ClassTerms) {
	for _, r := range reserves {
		classes = append(classes, buckets.ClassTerms{Guarantee: guarantee, Period: period, Reserve: r, Borrow: true})
	}
	return classes
}

// TestS5_FairnessTable reproduces two rows of the table by which "guarantee and
// borrow" was chosen: that costs alone starve the heavy classes, and that a
// guarantee of half a fair share (5/3 tokens a second each) with static reserves
// of 10, 10 and 12 does not. Every cell is a mean of an hour; the table's were
// single runs of unknown length, of which C's 61 % varied between 55 and 61 %.
// That is the cell that comes out lowest here, at 55 to 57 %.
func TestS5_FairnessTable(t *testing.T) {
	saturated, all, hog := perSecond{30, 1, 1}, perSecond{20, 20, 20}, perSecond{2, 0, 50}
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-29s|%-30s|%-31s|%s\n", "", " A 30/s, B and C want 1/s", " all want 20/s: A / B / C", " C 50/s, A wants 2/s")
	for _, row := range []struct {
		name    string
		classes []buckets.ClassTerms
		b, c    float64   // % of what they want while A saturates
		all     perSecond // admitted where all want 20
		a       float64   // % of what A wants beside the hog
	}{
		{"cost only", nil, 3, 0, perSecond{8.70, 0.64, 0.01}, 72},
		{"guarantee + static reserve", borrowers(5, 3*time.Second, 10, 10, 12), 81, 58, perSecond{5.15, 0.90, 1.01}, 89},
	} {
		runs := [3]crowd{{wanted: saturated}, {wanted: all}, {wanted: hog}}
		for i := range runs {
			runs[i].classes = row.classes
			runs[i].run(t, uint64(i))
			near(t, row.name+": tokens a second", runs[i].tokens, fairRate, 0.05)
		}
		b, c := runs[0].admitted.share(1, saturated), runs[0].admitted.share(2, saturated)
		a := runs[2].admitted.share(0, hog)
		near(t, row.name+": B's share beside A", b, row.b, 4)
		near(t, row.name+": C's share beside A", c, row.c, 4)
		near(t, row.name+": A's share beside C", a, row.a, 4)
		for i, want := range row.all {
			near(t, fmt.Sprintf("%s: class %c of all", row.name, 'A'+i), runs[1].admitted[i], want, 0.2)
		}
		got := runs[1].admitted
		fmt.Fprintf(&table, "%-29s| B %2.0f %%, C %2.0f %% %14s| %.2f / %.2f / %.2f %12s| A %2.0f %%\n", row.name, b, c, "", got[0], got[1], got[2], "", a)
	}
	t.Log(table.String())
}

// TestFairnessDefaults: with what weights alone give (a guarantee of 0.6 x rate / K,
// here 2 tokens a second, and a reserve of max(weight, 0.3 x burst / K), here 10)
// nobody starves beside a flood of light requests, a hog leaves a light class its
// guarantee, and all tokens are used.
func TestFairnessDefaults(t *testing.T) {
	const guarantee = 2.0
	defaults := borrowers(guarantee, time.Second, 10, 10, 10)
	flood := crowd{wanted: perSecond{30, 1, 1}, classes: defaults}
	hog := crowd{wanted: perSecond{4, 0, 50}, classes: defaults}
	hogBesideFew := crowd{wanted: perSecond{2, 0, 50}, classes: defaults}
	for i, c := range []*crowd{&flood, &hog, &hogBesideFew} {
		c.run(t, uint64(i))
		near(t, "tokens a second", c.tokens, fairRate, 0.05)
		// Nobody is refused whom his guarantee has given enough since he was served last.
		for class, cost := range fairCosts {
			if most := float64(cost) / guarantee; class != 2 && c.starved[class] > most {
				t.Errorf("wanted %v: class %c is refused %.3f s after its last request was served, its guarantee gives a request every %.3f s",
					c.wanted, 'A'+class, c.starved[class], most)
			}
		}
	}
	if flood.starved[2] > 3/guarantee {
		t.Errorf("C starves for %.3f s beside the flood", flood.starved[2])
	}
	b, c := flood.admitted.share(1, flood.wanted), flood.admitted.share(2, flood.wanted)
	if b < 60 || c < 60 {
		t.Errorf("B gets %.0f %% and C %.0f %% of what they want beside a flood of A, want 60 %% each", b, c)
	}
	if hog.admitted[0] < guarantee {
		t.Errorf("A gets %.2f tokens a second beside the hog, less than its guarantee of %.0f", hog.admitted[0], guarantee)
	}
	few := hogBesideFew.admitted.share(0, hogBesideFew.wanted)
	if few < 95 { // who wants as much as the guarantee on average wants more of it now and then
		t.Errorf("A gets %.0f %% of the 2 requests a second that it wants beside the hog", few)
	}
	t.Logf("\nA floods at 30/s, B and C want 1/s each: B gets %.0f %%, C %.0f %%, %.2f tokens/s in all\n"+
		"C floods at 50/s, A wants 4/s: A gets %.2f tokens/s of 2 guaranteed; A wants 2/s: it gets %.0f %%; %.2f tokens/s in all",
		b, c, flood.tokens, hog.admitted[0], few, hog.tokens)
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Errorf("%s: %.2f, want %.2f within %.2f", what, got, want, within)
	}
}
