package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/weir-rls/weir/buckets"
)

const (
	concurrentHistories = 20
	concurrentCallers   = 8
	callsPerCaller      = 50
	replicas            = 3
	checkTimeout        = 20 * time.Second
)

// runConcurrent lets callers of several replicas take from a few shared buckets
// at once, in real time, while the stores are disturbed. Each history of answers
// must be one that the model gives to the same calls in some order that
// contradicts no call's begin and end.
func runConcurrent(t *testing.T, s Subject) {
	operations, refused := 0, 0
	for number := range concurrentHistories {
		stores := s.Open(t, replicas, nil)
		calm := disturb(t, s)
		history := callTogether(t, stores, uint64(number))
		calm()
		if t.Failed() {
			return
		}
		result, info := porcupine.CheckOperationsVerbose(sequential(), history, checkTimeout)
		if result != porcupine.Ok {
			t.Fatalf("history %d is not linearizable (%s); the longest part that is ends before:\n%s",
				number, result, firstUnexplained(history, info))
		}
		operations += len(history)
		for _, op := range history {
			if !passed(op) {
				refused++
			}
		}
	}
	t.Logf("%d concurrent histories, %d requests, %d of them refused, are linearizable", concurrentHistories, operations, refused)
}

// disturb disturbs the stores until the returned function is called.
func disturb(t *testing.T, s Subject) (calm func()) {
	if s.Disturb == nil {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				s.Disturb(t)
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// callTogether records what concurrent callers ask and are answered.
func callTogether(t *testing.T, stores []buckets.Store, seed uint64) []porcupine.Operation {
	var all []porcupine.Operation
	var mu sync.Mutex
	var callers sync.WaitGroup
	limits := concurrentLimits(t)
	start := time.Now()
	for id := range concurrentCallers {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(id)))
			store := stores[id%len(stores)]
			for range callsPerCaller {
				request := concurrentRequest(random, limits)
				sent := make([]buckets.Charge, len(request))
				for i := range request {
					sent[i] = request[i].Charge
				}
				begin := time.Since(start)
				answer, err := store.Take(t.Context(), sent)
				end := time.Since(start)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, porcupine.Operation{
					ClientId: id, Input: request, Call: int64(begin), Output: answer, Return: int64(end),
				})
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	return all
}

// concurrentLimits are small enough to be exhausted and fast enough to refill
// within a history.
func concurrentLimits(t *testing.T) []limit {
	var limits []limit
	for _, l := range []struct {
		tokens   int64
		period   time.Duration
		capacity int64
	}{{1000, time.Second, 20}, {7, 10 * time.Millisecond, 5}, {100, time.Second, 40}} {
		compiled, err := newLimit(l.tokens, l.period, l.capacity)
		if err != nil {
			t.Fatal(err)
		}
		limits = append(limits, compiled)
	}
	return limits
}

func concurrentRequest(random *rand.Rand, limits []limit) []charge {
	var request []charge
	for range 1 + random.IntN(2) {
		i := random.IntN(len(limits))
		c := charge{limits[i], buckets.Charge{
			Key: fmt.Sprintf("{concurrent}%d", i), Limit: "concurrent",
			Bucket: limits[i].bucket, Cost: 1 + random.Int64N(3),
		}}
		switch random.IntN(10) {
		case 0:
			c.Mode = buckets.Look
		case 1:
			c.Mode = buckets.Refund
		}
		request = append(request, c)
	}
	return request
}

// sequential is the model for porcupine: calls one after another, each at the
// instant that its outcomes name.
func sequential() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return model{} },
		Step: func(state, input, output any) (bool, any) {
			request, got := input.([]charge), output.([]buckets.Outcome)
			now := got[0].Now
			next := maps.Clone(state.(model))
			want, _ := next.take(request, now)
			for i, c := range request {
				if differs(c, got[i], want[i], now) != "" {
					return false, state
				}
			}
			return true, next
		},
		Equal: func(a, b any) bool {
			return maps.EqualFunc(a.(model), b.(model), func(a, b account) bool {
				return a.at == b.at && a.used.Cmp(b.used) == 0
			})
		},
	}
}

func passed(op porcupine.Operation) bool {
	for i, o := range op.Output.([]buckets.Outcome) {
		if !o.Admitted && op.Input.([]charge)[i].Role == buckets.Enforce {
			return false
		}
	}
	return true
}

// firstUnexplained shows the calls that the longest linearizable part of a
// history lacks, the earliest few.
func firstUnexplained(history []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, part := range partition {
			if len(part) > len(longest) {
				longest = part
			}
		}
	}
	explained := map[[2]int64]bool{}
	for _, op := range longest {
		explained[[2]int64{int64(op.ClientId), op.Call}] = true
	}
	var text strings.Builder
	shown := 0
	for _, op := range history {
		if explained[[2]int64{int64(op.ClientId), op.Call}] || shown == 5 {
			continue
		}
		shown++
		fmt.Fprintf(&text, "caller %d from %d to %d: %+v\n", op.ClientId, op.Call, op.Return, op.Output)
		for _, c := range op.Input.([]charge) {
			fmt.Fprintf(&text, "  %+v\n", c.Charge)
		}
	}
	return text.String()
}
