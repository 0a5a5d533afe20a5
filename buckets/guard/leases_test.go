package guard_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/guard"
	"github.com/weir-rls/weir/buckets/memory"
)

// leasing is a replica that takes tokens ahead from a store in memory, in virtual time.
type leasing struct {
	*testing.T
	leases   *guard.Leases
	store    *memory.Store
	replicas int64

	asked   atomic.Int64                   // calls that reached the store, of requests and of the replica's own
	meet    func(charges []buckets.Charge) // is shown what reaches the store
	instead func() ([]buckets.Outcome, error)
}

// inLeasing runs a test in virtual time.
func inLeasing(t *testing.T, name string, run func(l *leasing)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := &leasing{T: t, store: memory.New(memory.Options{}), replicas: 1}
			l.leases = guard.NewLeases(guard.LeasesOptions{Store: l, Replicas: func(time.Duration) int64 { return l.replicas }})
			defer l.leases.Close()
			run(l)
		})
	})
}

// Take implements [buckets.Store].
func (l *leasing) Take(ctx context.Context, charges []buckets.Charge) ([]buckets.Outcome, error) {
	l.asked.Add(1)
	if l.meet != nil {
		l.meet(charges)
	}
	if l.instead != nil {
		return l.instead()
	}
	return l.store.Take(ctx, charges)
}

// Forget implements [buckets.Forgetter].
func (l *leasing) Forget(ctx context.Context, keys []string) error { return l.store.Forget(ctx, keys) }

// run asks n times, evenly spread over a time, and tells how often the store was asked.
func (l *leasing) run(n int, within time.Duration, charges ...buckets.Charge) (asked int) {
	l.Helper()
	before := l.asked.Load()
	for range n {
		time.Sleep(within / time.Duration(n))
		synctest.Wait() // until what is fetched is there
		if outcomes, err := l.leases.Take(l.Context(), charges); err != nil || !outcomes[0].Admitted {
			l.Fatalf("%+v, %v: want it admitted", outcomes, err)
		}
	}
	return int(l.asked.Load() - before)
}

// used is how many tokens the store knows of.
func (l *leasing) used(c buckets.Charge) int64 {
	l.Helper()
	c.Mode, c.Cost = buckets.Look, 0
	outcomes, err := l.store.Take(l.Context(), []buckets.Charge{c})
	if err != nil {
		l.Fatal(err)
	}
	return (outcomes[0].Used + c.Bucket.Unit() - 1) / c.Bucket.Unit()
}

// hot is a request that may be leased: its bucket hardly refills, so that what is used
// can be counted.
func hot() buckets.Charge {
	b, err := buckets.NewTokenBucket(1, time.Hour, 100_000)
	if err != nil {
		panic(err)
	}
	return buckets.Charge{Key: "{d}hot", Limit: "hot", Bucket: b, Cost: 1}
}

func TestLeases_AreOnAbove500RequestsASecond(t *testing.T) {
	inLeasing(t, "500", func(l *leasing) {
		if asked := l.run(1000, 2*time.Second, hot()); asked != 1000 {
			l.Errorf("the store was asked %d times, want each time", asked)
		}
	})
	inLeasing(t, "600", func(l *leasing) {
		l.run(180, 300*time.Millisecond, hot())
		if asked := l.run(600, time.Second, hot()); asked > 60 { // a lease has 30, of which 23 are used before more are fetched
			l.Errorf("the store was asked %d times for 600 requests, want a twentieth", asked)
		}
	})
	inLeasing(t, "4000", func(l *leasing) {
		l.run(800, 200*time.Millisecond, hot())
		if asked := l.run(4000, time.Second, hot()); asked > 40 { // a lease has 200, of which 150 are used before more are fetched
			l.Errorf("the store was asked %d times for 4000 requests, want 1 %% of them", asked)
		}
		synctest.Wait()
		if got := l.used(hot()); got < 4800 || got > 5000 {
			l.Errorf("%d tokens are taken, want the 4800 used and at most 200 ahead", got)
		}
		l.run(500, time.Second, hot())
		if asked := l.run(500, time.Second, hot()); asked != 500 {
			l.Errorf("at 500 a second again the store was asked %d times, want each time", asked)
		}
		synctest.Wait()
		if got := l.used(hot()); got != 5800 {
			l.Errorf("%d tokens are taken, want the 5800 used", got)
		}
	})
}

// What is small, waits, is shared by classes, is no token bucket, or is asked for together with others
// is judged by the store each time, and so is all while nobody knows how many
// replicas there are.
func TestLeases_AreOffWhereTheyWouldBeNoticed(t *testing.T) {
	bucket := hot().Bucket.(buckets.TokenBucket)
	small, ahead := bucket, bucket
	small.Capacity = 4 * 799
	ahead.Ahead = 1000 * ahead.TicksPerToken
	for name, c := range map[string]struct {
		change   func(c *buckets.Charge)
		replicas int64
	}{
		"a small burst for so many replicas": {func(c *buckets.Charge) { c.Bucket = small }, 4},
		"unknown replicas":                   {func(*buckets.Charge) {}, 0},
		"lease off":                          {func(c *buckets.Charge) { c.Exact = true }, 1},
		"in shadow mode":                     {func(c *buckets.Charge) { c.Role = buckets.Shadow }, 1},
		"a quota":                            {func(c *buckets.Charge) { c.Role = buckets.Quota }, 1},
		"others wait for it":                 {func(c *buckets.Charge) { c.Bucket = ahead }, 1},
		"who waits":                          {func(c *buckets.Charge) { c.MayOwe = 1 }, 1},
		"a class of a pool":                  {func(c *buckets.Charge) { c.Class, c.ClassKey = &buckets.Class{Guarantee: bucket}, "{d}class" }, 1},
		"a fixed window": {func(c *buckets.Charge) {
			c.Bucket = buckets.FixedWindow{Limit: 1e6, Calendar: buckets.Calendar{Length: time.Hour}}
		}, 1},
		"a look":                       {func(c *buckets.Charge) { c.Mode = buckets.Look }, 1},
		"no tokens":                    {func(c *buckets.Charge) { c.Cost = 0 }, 1},
		"costs that use it up at once": {func(c *buckets.Charge) { c.Cost = 90 }, 4},
	} {
		inLeasing(t, name, func(l *leasing) {
			one := hot()
			c.change(&one)
			l.replicas = c.replicas
			if asked := l.run(1000, 200*time.Millisecond, one); asked != 1000 {
				l.Errorf("the store was asked %d times, want each time", asked)
			}
		})
	}
	inLeasing(t, "two charges", func(l *leasing) {
		other := hot()
		other.Key = "{d}other"
		if asked := l.run(1000, 200*time.Millisecond, hot(), other); asked != 1000 {
			l.Errorf("the store was asked %d times, want each time", asked)
		}
	})
}

// Near its end a bucket is judged exactly: nothing is ahead on one replica that
// another would miss.
func TestLeases_NearTheLimitNothingIsTakenAhead(t *testing.T) {
	inLeasing(t, "", func(l *leasing) {
		l.replicas = 4
		l.meet = func(charges []buckets.Charge) {
			if left := 100_000 - l.used(hot()); charges[0].Mode == buckets.Take && charges[0].Cost > 1 && charges[0].Cost > left/8 {
				l.Fatalf("%d tokens are taken ahead of %d by one of four replicas", charges[0].Cost, left)
			}
		}
		l.run(100_000-50, 5*time.Second, hot())
		if asked := l.run(50, 2*time.Millisecond, hot()); asked < 40 { // of 64 or fewer nothing is taken ahead, and what was is used
			l.Errorf("the store was asked %d times for the last 50 tokens", asked)
		}
		if outcomes, err := l.leases.Take(l.Context(), []buckets.Charge{hot()}); err != nil || outcomes[0].Admitted {
			l.Errorf("%+v, %v: want one more refused", outcomes, err)
		}
	})
}

// What a leased request is told is what the store would have told it.
func TestLeases_TellTheLevelThatTheStoreWould(t *testing.T) {
	inLeasing(t, "", func(l *leasing) {
		one := hot()
		one.Bucket = bucketOf(700, 50_000)
		ideal := memory.New(memory.Options{})
		for i := range 20_000 {
			time.Sleep(250 * time.Microsecond)
			synctest.Wait()
			want, _ := ideal.Take(l.Context(), []buckets.Charge{one})
			got, err := l.leases.Take(l.Context(), []buckets.Charge{one})
			if err != nil || got[0] != want[0] {
				l.Fatalf("request %d: %+v, %v, want %+v", i, got, err, want)
			}
		}
		if l.leases.Answered() < 19_000 {
			l.Errorf("%d of 20000 requests were leased", l.leases.Answered())
		}
	})
}

func TestLeases_WhatIsNotUsedIsGivenBack(t *testing.T) {
	warm := func(l *leasing) {
		l.run(1000, 250*time.Millisecond, hot())
		synctest.Wait()
		if got := l.used(hot()); got <= 1000 {
			l.Fatalf("%d tokens are taken for 1000 requests, want some ahead", got)
		}
	}
	for name, c := range map[string]struct {
		end  func(l *leasing)
		want int64
	}{
		"within an eighth of a second": {func(*leasing) { time.Sleep(125 * time.Millisecond) }, 1000},
		"when weir stops":              {func(l *leasing) { l.leases.Close() }, 1000},
		"before the bucket is forgotten": {func(l *leasing) {
			if err := l.leases.Forget(l.Context(), []string{"{d}none", hot().Key}); err != nil {
				l.Error(err)
			}
			time.Sleep(time.Second)
		}, 0},
		"when it comes too late": {func(l *leasing) {
			l.meet = func(charges []buckets.Charge) {
				if charges[0].Mode == buckets.Take && charges[0].Cost > 1 { // weir stops while more are fetched
					l.meet = nil
					go l.leases.Close()
					time.Sleep(time.Millisecond)
				}
			}
			l.run(200, 50*time.Millisecond, hot())
			synctest.Wait()
		}, 1200},
	} {
		inLeasing(t, name, func(l *leasing) {
			warm(l)
			c.end(l)
			synctest.Wait()
			if got := l.used(hot()); got != c.want {
				l.Errorf("%d tokens are taken, want %d", got, c.want)
			}
			if asked := l.run(10, time.Second, hot()); asked != 10 {
				l.Errorf("afterwards the store was asked %d times, want each time", asked)
			}
		})
	}
}

// A request by other terms is judged by the store. Once the rules have changed what
// was taken by the old ones is neither used nor given back, for a token of theirs is
// another thing; where they have not changed for the bucket nothing is lost.
func TestLeases_AChangeOfTheRulesEndsThoseThatItMeets(t *testing.T) {
	other := hot()
	other.Bucket = bucketOf(1_000_000, 900_000)
	inLeasing(t, "one request's own terms", func(l *leasing) {
		l.run(1000, 250*time.Millisecond, hot())
		if asked := l.run(1, time.Millisecond, other); asked != 1 {
			l.Errorf("the store was asked %d times by other terms", asked)
		}
		if asked := l.run(10, time.Millisecond, hot()); asked > 1 {
			l.Errorf("the store was asked %d times by the terms of the lease", asked)
		}
	})
	inLeasing(t, "a change of the bucket", func(l *leasing) {
		l.run(1000, 250*time.Millisecond, hot())
		l.leases.Drop()
		l.meet = func(charges []buckets.Charge) {
			if charges[0].Bucket != other.Bucket || charges[0].Mode != buckets.Take {
				l.Errorf("the store was told %+v", charges[0])
			}
		}
		if asked := l.run(100, 250*time.Millisecond, other); asked != 100 {
			l.Errorf("the store was asked %d times, want each time", asked)
		}
		l.meet = nil
		l.run(2000, 500*time.Millisecond, other)
		if asked := l.run(1000, 250*time.Millisecond, other); asked > 20 {
			l.Errorf("the store was asked %d times by the new terms, want a lease again", asked)
		}
	})
	inLeasing(t, "a change elsewhere", func(l *leasing) {
		l.run(1000, 250*time.Millisecond, hot())
		l.leases.Drop()
		if asked := l.run(1000, 250*time.Millisecond, hot()); asked > 20 {
			l.Errorf("the store was asked %d times, want the lease to go on", asked)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := l.used(hot()); got != 2000 {
			l.Errorf("%d tokens are taken, want the 2000 used", got)
		}
	})
}

// While the store does not answer nothing is taken ahead, and what its stand-in
// answers is not taken for its word.
func TestLeases_AStoreThatFailsIsAskedForWhatIsNotThere(t *testing.T) {
	for name, instead := range map[string]func() ([]buckets.Outcome, error){
		"an error":                   func() ([]buckets.Outcome, error) { return nil, errors.New("down") },
		"a verdict without a bucket": func() ([]buckets.Outcome, error) { return []buckets.Outcome{{Admitted: true, Blind: true}}, nil },
		"this replica's own memory":  func() ([]buckets.Outcome, error) { return []buckets.Outcome{{Admitted: true, Alone: true}}, nil },
	} {
		inLeasing(t, name, func(l *leasing) {
			l.run(1000, 250*time.Millisecond, hot())
			before := l.leases.Answered()
			l.instead = instead
			fetches := 0
			l.meet = func(charges []buckets.Charge) {
				if charges[0].Cost > 1 {
					fetches++
				}
			}
			for range 4000 {
				time.Sleep(250 * time.Microsecond)
				_, _ = l.leases.Take(l.Context(), []buckets.Charge{hot()})
			}
			if leased := l.leases.Answered() - before; leased > 200 {
				l.Errorf("%d requests were leased while the store did not answer, more than were ahead", leased)
			}
			if fetches > 1 {
				l.Errorf("%d times more was to be taken ahead of a store that does not answer", fetches)
			}
			l.instead, l.meet = nil, nil
			l.run(1000, 250*time.Millisecond, hot())
			if asked := l.run(1000, 250*time.Millisecond, hot()); asked > 20 {
				l.Errorf("the store was asked %d times when it answers again, want a lease", asked)
			}
		})
	}
}

// Whoever chooses keys fills the table of leases at most, and it is empty when he has
// left.
func TestLeases_AreBounded(t *testing.T) {
	inLeasing(t, "", func(l *leasing) {
		for i := range 2000 {
			c := hot()
			c.Key += strconv.Itoa(i)
			for range 60 {
				_, _ = l.leases.Take(l.Context(), []buckets.Charge{c})
			}
		}
		if held := l.leases.Held(); held != 1024 {
			l.Errorf("%d leases, want 1024", held)
		}
		time.Sleep(time.Second)
		if held := l.leases.Held(); held != 0 {
			l.Errorf("%d leases remain", held)
		}
	})
}
