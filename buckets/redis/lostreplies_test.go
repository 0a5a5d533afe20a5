package redis_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
)

// budget is a bucket of which nothing recovers while a test runs.
var budget = buckets.FixedWindow{Limit: 40, Calendar: buckets.Calendar{Length: 1000 * time.Hour}}

// A take whose reply is lost may have been charged or not, at any time from then on, and
// never twice: each history of what callers of three replicas were told is one of calls one
// after another, in which each such call happened once or not at all.
func TestLinearizable_WhoseReplyIsLostIsChargedOnceOrNever(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	calls, lost := 0, 0
	for seed := range uint64(25) {
		history := losing(t, server, seed)
		if result := porcupine.CheckOperationsTimeout(onceOrNever.ToModel(), history, 20*time.Second); result != porcupine.Ok {
			t.Fatalf("history %d is not linearizable: %s", seed, result)
		}
		calls += len(history)
		for _, op := range history {
			if op.Output == nil {
				lost++
			}
		}
	}
	if lost < 50 {
		t.Errorf("only %d replies were lost", lost)
	}
	t.Logf("%d calls, of which %d were not answered, are linearizable", calls, lost)
}

// losing is what callers of three replicas ask and are told while replies are lost.
func losing(t *testing.T, server *parts.Redis, seed uint64) (history []porcupine.Operation) {
	const replicas, callers, each = 3, 6, 20
	var ways []*partstest.Faulty
	var stores []*redis.Store
	for range replicas {
		way := partstest.Way(t, server.Addr)
		ways, stores = append(ways, way), append(stores, open(t, "redis://"+way.Addr))
		if err := stores[len(stores)-1].Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	start := time.Now()
	for id := range callers {
		work.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(id)))
			for range each {
				if random.IntN(20) == 0 {
					ways[random.IntN(replicas)].LoseNext()
				}
				asked := askedOf(seed, random)
				op := porcupine.Operation{ClientId: id, Input: asked, Call: int64(time.Since(start))}
				outcomes, err := stores[id%replicas].Take(t.Context(), asked)
				op.Return = int64(time.Since(start))
				mu.Lock()
				if err == nil {
					op.Output = outcomes
				} else { // it may happen whenever, and its caller goes on
					op.ClientId, op.Return = callers+len(history), math.MaxInt64
				}
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	return history
}

func askedOf(history uint64, random *rand.Rand) (charges []buckets.Charge) {
	for range 1 + random.IntN(2) {
		c := buckets.Charge{Key: fmt.Sprintf("{lost%d}%d", history, random.IntN(3)), Bucket: budget, Cost: 1 + random.Int64N(3)}
		if n := random.IntN(10); n < 2 {
			c.Mode = buckets.Refund
		} else if n == 2 {
			c.Mode = buckets.Settle
		}
		charges = append(charges, c)
	}
	return charges
}

// onceOrNever is the model: how much is used of each bucket. It is [buckets.Judge] without
// time, in its own words.
var onceOrNever = porcupine.NondeterministicModel{
	Init: func() []any { return []any{[3]int64{}} },
	Step: func(state, input, output any) []any {
		used := state.([3]int64)
		asked := input.([]buckets.Charge)
		after, admitted := judged(used, asked)
		if output == nil {
			return []any{used, after}
		}
		for i, o := range output.([]buckets.Outcome) {
			if o.Admitted != admitted[i] || o.Used != after[place(asked[i])] {
				return nil
			}
		}
		return []any{after}
	},
	Equal: func(a, b any) bool { return a == b },
}

func place(c buckets.Charge) int { return int(c.Key[len(c.Key)-1] - '0') }

func judged(used [3]int64, asked []buckets.Charge) (after [3]int64, admitted []bool) {
	passes, pending := true, [3]int64{}
	admitted = make([]bool, len(asked))
	for i, c := range asked {
		at := place(c)
		switch c.Mode {
		case buckets.Refund:
			used[at], admitted[i] = max(0, used[at]-c.Cost), true
		case buckets.Settle:
			used[at], admitted[i] = used[at]+min(c.Cost, max(0, budget.Limit-used[at])), true
		default:
			admitted[i] = used[at]+pending[at]+c.Cost <= budget.Limit
			pending[at] += c.Cost
			passes = passes && admitted[i]
		}
	}
	if passes {
		for at := range used {
			used[at] += pending[at]
		}
	}
	return used, admitted
}
