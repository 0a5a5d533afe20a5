package waiting_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/waiting"
)

// T6 of algorithms.md (c): on one replica the first waiter of a class waits at
// most until its guarantee has the cost, (c-G_i)/g_i, and one quantum, whoever
// floods the pool, waiting or not.
func TestC11_T6_TheFirstOfAClassWaitsForItsGuaranteeAtMost(t *testing.T) {
	var waits atomic.Int64
	for n := range simulations / 6 {
		if *seed >= 0 && n != *seed {
			continue
		}
		random := rand.New(rand.NewPCG(uint64(n), 3))
		pool, classes := drawPool(t, random)
		inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
			var inLine [3]int
			draw := func(class int) buckets.Charge {
				return buckets.Charge{
					Key: "{k}pool", Limit: "pool", Bucket: pool, Cost: int64(class + 1),
					Class: &classes[class], ClassKey: fmt.Sprint("{k}class", class),
				}
			}
			done := make(chan int, 1000)
			for range 150 {
				class := random.IntN(3)
				if random.IntN(2) == 0 {
					class = 0 // floods
				}
				charge, wait := draw(class), time.Duration(random.IntN(2))*time.Hour
				guarantee := charge.Class.Guarantee.(buckets.TokenBucket)
				first := inLine[class] == 0 && wait > 0
				ask := charge
				ask.Mode = buckets.Look
				looked, err := store.Take(t.Context(), []buckets.Charge{ask})
				if err != nil {
					t.Fatal(err)
				}
				lacks := looked[0].ClassUsed + charge.Ticks() - guarantee.Full()
				inLine[class]++
				go func() {
					v := call(t.Context(), r, wait, charge)
					most := guarantee.Refill(max(lacks, 0)) + time.Duration(guarantee.Quantum)*time.Microsecond
					if first && (!v.passed() || v.after > most) {
						t.Errorf("seed %d: the first of class %d was answered %v after %v, at most %v", n, class, v.passed(), v.after, most)
					}
					if first && v.after > 0 {
						waits.Add(1)
					}
					done <- class
				}()
				next := time.After(time.Duration(random.IntN(100_000)+1) * time.Microsecond)
				for arrived := false; !arrived; {
					for synctest.Wait(); len(done) > 0; synctest.Wait() {
						inLine[<-done]--
					}
					select {
					case class := <-done:
						inLine[class]--
					case <-next:
						arrived = true
					}
				}
			}
			for inLine != [3]int{} {
				inLine[<-done]--
			}
		})
	}
	if *seed < 0 && waits.Load() < simulations {
		t.Errorf("only %d had to wait: the test shows little", waits.Load())
	}
}

// drawPool makes up a pool of 10 tokens/s and three classes of weights 1, 2 and 3.
func drawPool(t *testing.T, random *rand.Rand) (buckets.TokenBucket, []buckets.Class) {
	t.Helper()
	var terms []buckets.ClassTerms
	for class := range int64(3) {
		terms = append(terms, buckets.ClassTerms{
			Guarantee: random.Int64N(3) + 1, Period: time.Second, Reserve: class + 1 + random.Int64N(4),
			Borrow: random.IntN(4) > 0, Headroom: random.Int64N(3),
		})
	}
	pool, classes, err := buckets.NewPool(buckets.Terms{Tokens: 10, Period: time.Second, Capacity: random.Int64N(20) + 18, MaxWait: time.Hour}, terms)
	if err != nil {
		t.Fatal(err)
	}
	return pool, classes
}

// A heavy caller who waits for his class's guarantee must not keep a light class
// from its own, and one slot that is given back serves whichever class may have it.
func TestC14_ClassesDoNotWaitForEachOther(t *testing.T) {
	inTime(t, func(t *testing.T, r *waiting.Room, store buckets.Store) {
		pool := buckets.Slots{Count: 4, TTL: day.Microseconds()}
		classes := buckets.NewSlotPool(pool, []buckets.ClassTerms{{Reserve: 1}, {Reserve: 3}})
		slot := func(class int, lease string, cost int64) buckets.Charge {
			c := slots(4, lease)
			c.Class, c.ClassKey, c.Cost = &classes[class], fmt.Sprint("{k}class", class), cost
			return c
		}
		light, heavy := slot(0, "light", 1), slot(1, "heavy", 3)
		call(t.Context(), r, 0, light)
		call(t.Context(), r, 0, heavy)
		next := started(t.Context(), r, time.Minute, slot(1, "next heavy", 2))
		other := started(t.Context(), r, time.Minute, slot(0, "next light", 1))
		elapse(20 * time.Millisecond)
		giveBack(t, r, store, light)
		if v := <-other; !v.passed() || v.after != 20*time.Millisecond {
			t.Errorf("the light class was answered %+v", v)
		}
		elapse(time.Second)
		giveBack(t, r, store, heavy)
		if v := <-next; !v.passed() || v.after != 1020*time.Millisecond {
			t.Errorf("the heavy class was answered %+v", v)
		}
	})
}
