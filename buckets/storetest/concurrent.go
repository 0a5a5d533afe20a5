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
	histories := concurrentHistories
	if s.Brief {
		histories /= 4
	}
	for number := range histories {
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
	t.Logf("%d concurrent histories, %d requests, %d of them refused, are linearizable", histories, operations, refused)
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
	rules := concurrentRules(t)
	start := time.Now()
	for id := range concurrentCallers {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(id)))
			store := stores[id%len(stores)]
			for range callsPerCaller {
				request := concurrentRequest(random, rules, id)
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

// concurrentRules are small enough to be exhausted and fast enough to recover
// within a history.
func concurrentRules(t *testing.T) []rule {
	rules := []rule{
		fixedRule{buckets.FixedWindow{Limit: 20, Calendar: buckets.Calendar{Length: 200 * time.Millisecond}}},
		slidingRule{buckets.SlidingWindow{Limit: 20, Window: 10_000, Parts: 5}},
		slotRule{buckets.Slots{Count: 6, TTL: 10_000}},
		breakerRule{buckets.Breaker{Failures: 2, OpenFor: 3_000, Probes: 2, ProbeTTL: 5_000}},
	}
	for _, terms := range []buckets.Terms{
		{Tokens: 1000, Period: time.Second, Capacity: 20},
		{Tokens: 7, Period: 10 * time.Millisecond, Capacity: 5},
		{Tokens: 100, Period: time.Second, Capacity: 40, MaxDebt: 10},
	} {
		r, err := newTokenRule(terms)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	return rules
}

func concurrentRequest(random *rand.Rand, rules []rule, caller int) []charge {
	var request []charge
	for range 1 + random.IntN(3) {
		i := random.IntN(len(rules))
		c := charge{rules[i], nil, buckets.Charge{
			Key: fmt.Sprintf("{concurrent}%d", i), Limit: "concurrent",
			Bucket: rules[i].product(), Cost: 1 + random.Int64N(3),
			Lease: fmt.Sprintf("%d of %d", random.IntN(3), caller),
		}}
		if _, ok := rules[i].(breakerRule); ok {
			c.Cost = random.Int64N(2)
		}
		switch random.IntN(10) {
		case 0:
			c.Mode = buckets.Look
		case 1, 2:
			c.Mode = buckets.Refund
		case 3:
			c.Mode = buckets.Settle
		}
		request = append(request, c)
	}
	return request
}

// sequential is the model for porcupine: calls one after another, each at the
// instant that its outcomes name.
func sequential() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return newModel() },
		Step: func(state, input, output any) (bool, any) {
			request, got := input.([]charge), output.([]buckets.Outcome)
			now := got[0].Now
			next := state.(*model).clone()
			want, _ := next.take(request, now)
			for i := range request {
				if differs(&request[i], &got[i], &want[i], now) != "" {
					return false, state
				}
			}
			return true, next
		},
		Equal: func(a, b any) bool {
			return maps.EqualFunc(a.(*model).accounts, b.(*model).accounts, equal)
		},
	}
}

func passed(op porcupine.Operation) bool {
	for i, o := range op.Output.([]buckets.Outcome) {
		if !o.Admitted && op.Input.([]charge)[i].Asks() {
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
