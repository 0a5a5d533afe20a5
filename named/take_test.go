package named_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/named"
	"github.com/weir-rls/weir/records"
)

// The bucket of that server's manual: at most 4 tokens, one more every 4000 ms,
// none at the start. Callers wait for theirs, and no idle time saves up a fifth.
func TestW01_W02_W04_W05_ADrippingBucket(t *testing.T) {
	inTime(t, func(t *testing.T, replicas []*replica) {
		r := replicas[0]
		create(t, r, named.Drip("buc-id", 4, 4000))
		for i := range 3 {
			if a := take(t, r, "buc-id", time.Hour); !a.Admitted || a.Waited != 4*time.Second {
				t.Errorf("caller %d of a new bucket: %+v, want it admitted after 4 s", i, a)
			}
		}
		if a := take(t, r, "buc-id", 0); a.Admitted || a.Delay != 4*time.Second {
			t.Errorf("who does not wait: %+v, want it refused with a delay of 4 s", a)
		}
		time.Sleep(50 * time.Minute)
		for i := range 4 {
			if a := take(t, replicas[1], "buc-id", time.Hour); !a.Admitted || a.Waited != 0 || a.Remaining != int64(3-i) {
				t.Errorf("token %d after a long time: %+v", i, a)
			}
		}
		if a := take(t, r, "buc-id", time.Hour); a.Waited != 4*time.Second {
			t.Errorf("the fifth caller: %+v, want a wait of 4 s", a)
		}
	})
}

// A period in milliseconds is the same as one in seconds.
func TestW16_PeriodsAreInMilliseconds(t *testing.T) {
	inTime(t, func(t *testing.T, replicas []*replica) {
		create(t, replicas[0], named.Drip("ms", 1, 1500))
		create(t, replicas[0], named.Definition{ID: "s", Rate: "2/3s", Burst: 1, Initial: "empty"})
		for _, id := range []string{"ms", "s"} {
			for range 3 {
				if a := take(t, replicas[0], id, time.Hour); a.Waited != 1500*time.Millisecond {
					t.Errorf("%s: waited %v, want 1.5 s", id, a.Waited)
				}
			}
		}
	})
}

// Who leaves makes room for those behind him, and burns no token.
func TestW13_WhoLeavesBurnsNoToken(t *testing.T) {
	inTime(t, func(t *testing.T, replicas []*replica) {
		r := replicas[0]
		create(t, r, named.Drip("b", 1, 1000))
		ctx, leave := context.WithCancel(t.Context())
		gone, behind := started(ctx, r, "b", time.Hour), started(t.Context(), r, "b", time.Hour)
		leave()
		if _, answered := <-gone; answered {
			t.Error("who left was answered")
		}
		if a := <-behind; a.Waited != time.Second {
			t.Errorf("who came second waited %v, want the 1 s of the first", a.Waited)
		}
		if a := take(t, r, "b", time.Hour); a.Waited != time.Second {
			t.Errorf("the next one waited %v, want 1 s: the place of who left is not free", a.Waited)
		}
	})
}

// A wait that cannot succeed, or that one too many wants, ends at once and takes
// nothing; so does one whose caller has no time.
func TestL09_TheQueueIsBounded(t *testing.T) {
	inTime(t, func(t *testing.T, replicas []*replica) {
		r := replicas[0]
		create(t, r, named.Definition{ID: "b", Rate: "1/s", Initial: "empty", MaxWait: named.Duration(3 * time.Second), MaxWaiters: 2})
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if a, err := r.Take(hurried, "b", 1, time.Hour); err != nil || a.Admitted || a.Waited != 0 {
			t.Errorf("who has too little time: %+v, %v", a, err)
		}
		first, second := started(t.Context(), r, "b", time.Hour), started(t.Context(), r, "b", time.Hour)
		if a := take(t, r, "b", time.Hour); a.Admitted || a.Waited != 0 || a.Delay != 3*time.Second {
			t.Errorf("one more than may wait: %+v", a)
		}
		third := started(t.Context(), replicas[1], "b", time.Hour)
		if a := take(t, replicas[1], "b", time.Hour); a.Admitted || a.Delay != 4*time.Second {
			t.Errorf("one who would wait too long: %+v", a)
		}
		for i, answer := range []<-chan named.Answer{first, second, third} {
			if a := <-answer; !a.Admitted || a.Waited != time.Duration(i+1)*time.Second {
				t.Errorf("waiter %d: %+v", i, a)
			}
		}
	})
}

// caller is one of a history: on which replica, and when he was served, or that he
// left.
type caller struct {
	replica int
	served  time.Duration
	left    bool
}

// A history on two replicas: callers are served in the order of coming, and no
// window sees more than the burst and what refills in it. Where somebody leaves,
// those behind him on his replica move up, beyond those of the other one.
func TestW03_FirstComeFirstServedWithinTheBound(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		period := time.Duration(rapid.IntRange(1, 5000).Draw(r, "period")) * time.Millisecond
		burst := rapid.Int64Range(1, 5).Draw(r, "burst")
		gaps := rapid.SliceOfN(rapid.IntRange(0, 3000), 1, 60).Draw(r, "gaps")
		leaves := make([]int, len(gaps))
		patient := rapid.Bool().Draw(r, "patient")
		if !patient {
			leaves = rapid.SliceOfN(rapid.IntRange(-20_000, 10_000), len(gaps), len(gaps)).Draw(r, "leaves")
		}
		initial := rapid.SampledFrom([]string{"empty", "full"}).Draw(r, "initial")
		var served []caller
		synctest.Test(t, func(t *testing.T) {
			d := named.Drip("b", burst, period.Milliseconds())
			d.Initial = initial
			served = history(t, d, gaps, leaves)
		})
		for i, c := range served {
			for _, before := range served[:i] {
				if c.served < before.served && (patient || c.replica == before.replica) {
					r.Fatalf("%+v was served before %+v who came first", c, before)
				}
			}
		}
		slices.SortFunc(served, func(a, b caller) int { return cmp.Compare(a.served, b.served) })
		for i := range served {
			for j := i; j < len(served); j++ {
				n, window := int64(j-i+1), served[j].served-served[i].served
				if most := burst + int64(window/period); n > most {
					r.Fatalf("%d were served within %v, at most %d may be", n, window, most)
				}
			}
		}
	})
}

// history lets callers come after gaps, to two replicas in turn, and leave after a
// while where that is above 0. It answers who was served, in the order of coming.
func history(t *testing.T, d named.Definition, gaps, leaves []int) (served []caller) {
	replicas := inMemory(t, 2)
	create(t, replicas[0], d)
	start := time.Now()
	var all sync.WaitGroup
	callers := make([]caller, len(gaps))
	for i, gap := range gaps {
		time.Sleep(time.Duration(gap) * time.Millisecond)
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		if leaves[i] > 0 {
			time.AfterFunc(time.Duration(leaves[i])*time.Millisecond, leave)
		}
		all.Go(func() {
			defer leave()
			a, err := replicas[i%2].Take(ctx, d.ID, 1, 24*time.Hour)
			callers[i] = caller{i % 2, time.Since(start), err != nil}
			if err == nil && !a.Admitted {
				t.Errorf("caller %d: %+v", i, a)
			}
		})
		synctest.Wait()
	}
	all.Wait()
	return slices.DeleteFunc(callers, func(c caller) bool { return c.left })
}

// On real servers and two replicas too, by the clock on the wall: 100 callers who
// come one after another are served in that order, ten milliseconds apart.
func TestW09_W03_TwoReplicasAreOneQueue(t *testing.T) {
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(part.String(), func(t *testing.T) {
			replicas := onRedis(t, partstest.Redis(t, part), 2)
			create(t, replicas[0], named.Drip("api", 2, 10))
			begin := time.Now()
			var mu sync.Mutex
			var all sync.WaitGroup
			waits := make([]time.Duration, 100)
			for i := range waits {
				queued := make(chan struct{}, 2)
				all.Go(func() {
					a, err := replicas[i%2].TakeInTurn(t.Context(), "api", 1, time.Minute, func() { queued <- struct{}{} })
					if err != nil || !a.Admitted {
						t.Errorf("caller %d: %+v, %v", i, a, err)
					}
					mu.Lock()
					waits[i] = time.Since(begin)
					mu.Unlock()
					queued <- struct{}{}
				})
				<-queued
			}
			all.Wait()
			// The answers of two replicas may be late by what the machine does meanwhile,
			// never early: the n-th token is there after n periods, and who has it before
			// its turn has that of another one.
			for i, at := range waits {
				if earliest := time.Duration(i+1)*10*time.Millisecond - 5*time.Millisecond; at < earliest {
					t.Errorf("caller %d was served after %v, want no sooner than %v", i, at, earliest)
				}
			}
		})
	}
}

// An idle bucket takes no memory in the store: one that is full again is not kept,
// one that began empty is kept an hour longer, lest it begin empty again.
func TestW15_IdleBucketsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(memory.Options{})
		ledger, _ := records.Open("")
		r := newReplica(store, ledger)
		create(t, r, named.Definition{ID: "full", Rate: "1/s"})
		create(t, r, named.Drip("empty", 1, 1000))
		for _, id := range []string{"full", "empty"} {
			take(t, r, id, time.Hour)
		}
		for after, want := range map[time.Duration]int{0: 2, 2 * time.Second: 1, 2 * time.Hour: 0} {
			time.Sleep(after)
			if got := store.Held(); got > want {
				t.Errorf("%d buckets are held, want %d", got, want)
			}
		}
	})
	t.Run("in Redis", func(t *testing.T) {
		server := partstest.Redis(t, parts.RedisServer)
		r := onRedis(t, server, 1)[0]
		create(t, r, named.Definition{ID: "full", Rate: "1/min"})
		create(t, r, named.Drip("empty", 1, 60_000))
		admin := goredis.NewClient(&goredis.Options{Addr: server.Addr})
		defer func() { _ = admin.Close() }()
		for _, id := range []string{"full", "empty"} {
			take(t, r, id, 0)
		}
		found := 0
		for _, key := range admin.Keys(t.Context(), "*").Val() {
			if strings.HasPrefix(key, "{weir:live}") {
				continue // what is configured stays
			}
			found++
			if ttl := admin.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 2*time.Hour {
				t.Errorf("%s lives for %v", key, ttl)
			}
		}
		if found != 2 {
			t.Errorf("%d buckets are stored, want 2", found)
		}
	})
}

// The error of a ledger that does not answer names it; what is known is served.
func TestKnownBucketsServeWithoutTheLedger(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	shared := onRedis(t, server, 1)[0]
	r := newReplica(memory.New(memory.Options{}), shared.ledger)
	create(t, r, named.Definition{ID: "api", Rate: "1/hour"})
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if a := take(t, r, "api", 0); !a.Admitted {
		t.Errorf("%+v", a)
	}
	_, takeErr := r.Take(t.Context(), "other", 1, 0)
	_, _, createErr := r.Create(t.Context(), named.Drip("other", 1, 1))
	_, listErr := r.List(t.Context())
	for _, err := range []error{takeErr, createErr, listErr} {
		if err == nil || !strings.Contains(fmt.Sprint(err), "cannot be read") {
			t.Errorf("%v, want an error of the ledger", err)
		}
	}
}
