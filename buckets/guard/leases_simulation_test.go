package guard_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/storetest"
)

// fleet is replicas that take tokens of one bucket ahead, in virtual time.
type fleet struct {
	*testing.T
	random   *rand.Rand
	begun    time.Time
	replicas int64
	rate     int64 // tokens a second
	charge   buckets.Charge
	slowest  time.Duration // that a call to the store takes each way
	shared   *memory.Store
	ideal    *memory.Store // judges each request when it is judged, by itself

	mu       sync.Mutex
	admitted []admission
	wished   int64 // tokens that the ideal store admitted
	asked    int   // calls to the shared store
	requests int
}

type admission struct {
	at   time.Duration
	cost int64
}

// link is how one replica reaches the shared store, until it crashes.
type link struct {
	*fleet
	crashed chan struct{}
	ahead   *int64 // tokens that were taken and neither used nor given back
}

// have counts what the replica has ahead, which must never be more than a replica may.
func (l link) have(more int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *l.ahead += more; *l.ahead < 0 || *l.ahead > l.largest() {
		l.Fatalf("a replica has %d tokens ahead, and may have %d", *l.ahead, l.largest())
	}
}

var errCrashed = errors.New("the replica has crashed")

// asking is a request, and askedFor its key in a context.
type (
	asking struct {
		buckets.Charge
		at     time.Duration
		wished bool // the ideal store admitted it
		judged bool
	}
	askedFor struct{}
)

// judge has the ideal store judge the request too, at the same instant.
func (a *asking) judge(f *fleet) {
	outcomes, err := f.ideal.Take(f.Context(), []buckets.Charge{a.Charge})
	if err != nil {
		f.Error(err)
		return
	}
	a.at, a.wished, a.judged = time.Since(f.begun), outcomes[0].Admitted, true
}

// Take implements [buckets.Store].
func (l link) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	l.mu.Lock()
	there, back := time.Duration(l.random.Int64N(int64(l.slowest))), time.Duration(l.random.Int64N(int64(l.slowest)))
	l.asked++
	l.mu.Unlock()
	if charges[0].Mode == buckets.Refund {
		l.have(-charges[0].Cost)
	}
	if time.Sleep(there); l.isDown() {
		return nil, errCrashed
	}
	outcomes, err := l.shared.Take(ctx, charges)
	if a, ok := ctx.Value(askedFor{}).(*asking); ok {
		a.judge(l.fleet)
	} else if charges[0].Mode == buckets.Take && outcomes[0].Admitted {
		l.have(charges[0].Cost)
	}
	if time.Sleep(back); l.isDown() {
		return nil, errCrashed
	}
	return outcomes, err
}

func (l link) isDown() bool {
	select {
	case <-l.crashed:
		return true
	default:
		return false
	}
}

func newFleet(t *testing.T, seed uint64) *fleet {
	random := rand.New(rand.NewPCG(seed, 5))
	replicas := 1 + random.Int64N(4)
	f := &fleet{
		T: t, random: random, begun: time.Now(), replicas: replicas, rate: replicas * (600 + random.Int64N(600)),
		slowest: time.Millisecond * time.Duration(1+random.Int64N(8)), shared: memory.New(memory.Options{}), ideal: memory.New(memory.Options{}),
	}
	f.charge = buckets.Charge{Key: "{d}hot", Bucket: bucketOf(f.rate, replicas*(800+random.Int64N(500)))}
	return f
}

// dearest is the most that a request asks for.
const dearest = 5

func bucketOf(rate, burst int64) buckets.TokenBucket {
	b, err := buckets.NewTokenBucket(rate, time.Second, burst)
	if err != nil {
		panic(err)
	}
	return b
}

// largest is the most that a replica may have ahead.
func (f *fleet) largest() int64 { return f.charge.Bucket.Size() / 100 / f.replicas }

// moods are how often each replica is asked, one after another: as often as the bucket
// refills, so that it is full and every replica has tokens ahead, then so much that it
// is soon empty, by all at once, and seldom. Every other request of a storm is dear.
var moods = []struct {
	lasts   time.Duration
	percent int64 // of the rate
	dear    bool
}{{300 * time.Millisecond, 95, false}, {200 * time.Millisecond, 500, true}, {150 * time.Millisecond, 2, false}, {100 * time.Millisecond, 120, true}}

// load asks a replica until it crashes or the moods are over.
func (f *fleet) load(store buckets.Store, at link, random *rand.Rand) {
	var calls sync.WaitGroup
	defer calls.Wait()
	ends := time.Duration(0)
	for _, mood := range moods {
		ends += mood.lasts
		for !at.isDown() {
			time.Sleep(time.Duration(random.Int64N(int64(2*time.Second)/(1+f.rate*mood.percent/100/f.replicas)) + 1))
			if time.Since(f.begun) >= ends {
				break
			}
			c := f.charge
			if c.Cost = 1; mood.dear && random.IntN(2) == 0 {
				c.Cost = 1 + random.Int64N(dearest)
			}
			calls.Go(func() { f.ask(store, at, c) })
		}
	}
}

// ask has a replica judge a request. Tokens that were taken ahead are used when they
// are, others when the store judges.
func (f *fleet) ask(store buckets.Store, at link, c buckets.Charge) {
	a := &asking{Charge: c}
	outcomes, err := store.Take(context.WithValue(f.Context(), askedFor{}, a), []buckets.Charge{c})
	if err == nil && !a.judged {
		a.judge(f)
		at.have(-c.Cost)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if a.wished && err == nil { // else he may have got them, and nobody knows
		f.wished += c.Cost
	}
	if err == nil && outcomes[0].Admitted {
		f.admitted = append(f.admitted, admission{a.at, c.Cost})
	}
}

// excess is by how many tokens what was admitted in any window exceeded the rate, at
// most, and in the windows that begin with the first request.
func (f *fleet) excess() (any, first float64) {
	sum, least := 0.0, 0.0
	rate := float64(f.rate) / float64(time.Second)
	slices.SortFunc(f.admitted, func(a, b admission) int { return cmp.Compare(a.at, b.at) })
	for _, a := range f.admitted {
		before := sum - rate*float64(a.at)
		least = min(least, before)
		sum += float64(a.cost)
		any, first = max(any, before+float64(a.cost)-least), max(first, before+float64(a.cost))
	}
	return any, first
}

// However replicas are asked, however slow the store is, and whether or not one
// crashes: in no window is more admitted than a burst, the rate and what all replicas may have
// ahead, since the beginning not even that, and what a store that judges each request
// would have admitted is missed by no more than that, and what is too little for one.
func TestSimulation_LeasesStayWithinTheirBounds(t *testing.T) {
	seeds, leased, requests, above := uint64(storetest.Share(2000, 20)), uint64(0), 0, 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, seed)
			crashes := time.Duration(f.random.Int64N(int64(time.Second)))
			var leases []*guard.Leases
			var loads sync.WaitGroup
			for i := range f.replicas {
				own := link{f, make(chan struct{}), new(int64)}
				l := guard.NewLeases(guard.LeasesOptions{Store: own, Replicas: func(time.Duration) int64 { return f.replicas }})
				leases = append(leases, l)
				random := rand.New(rand.NewPCG(seed, uint64(100+i)))
				loads.Go(func() { f.load(l, own, random) })
				if i == 0 && seed%3 == 0 {
					time.AfterFunc(crashes, func() { close(own.crashed) })
				}
			}
			loads.Wait()
			for _, l := range leases {
				l.Close()
				leased += l.Answered()
			}
			requests += f.requests
			f.check(seed, &above)
		})
	}
	t.Logf("%d of %d requests were leased; in %d of %d runs more than the burst and the rate was admitted in some window", leased, requests, above, seeds)
	if int(leased) < requests/6 || above == 0 {
		t.Error("the runs do not show what leases do")
	}
}

// check holds a run to its bounds. Instants are rounded to the bucket's clock, a
// microsecond.
func (f *fleet) check(seed uint64, above *int) {
	burst, ahead := float64(f.charge.Bucket.Size()), float64(f.replicas*f.largest())
	rounding := float64(f.rate)/1e6 + 1e-6
	any, first := f.excess()
	if any > burst+rounding {
		*above++
	}
	sum := int64(0)
	for _, a := range f.admitted {
		sum += a.cost
	}
	if any > burst+ahead+rounding || first > burst+rounding || float64(sum) < float64(f.wished)-ahead-dearest {
		f.Errorf("seed %d, %d replicas, burst %v, %v ahead: %v above the rate in a window and %v since the beginning, %d admitted where %d were to be",
			seed, f.replicas, burst, ahead, any, first, sum, f.wished)
	}
}
