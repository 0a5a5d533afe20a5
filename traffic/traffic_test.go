package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// outcomes are what may become of a limit, in the order in which this test counts them.
var outcomes = []string{"allowed", "denied", "not_charged", "shadow_denied", "refunded", "settled", "borrowed", "quota_denied", "waited"}

// replica is a Traffic, and what would tell it.
type replica struct {
	*Traffic
	t       testing.TB
	rules   atomic.Pointer[descriptors.Rules]
	tallies map[string]*descriptors.Tally
	waiting atomic.Int64
	down    atomic.Bool
}

const twoLimits = `
domain: d
descriptors:
  - {key: user, limits: [{name: per-user, rate: 10/s}]}
  - {key: ip, limits: [{name: per-ip, rate: 10/s}]}
`

func newReplica(t testing.TB, rules string) *replica {
	r := &replica{t: t, tallies: map[string]*descriptors.Tally{}}
	r.load(rules)
	r.Traffic = New(Options{
		Rules: r.rules.Load,
		Counted: func(of *descriptors.Tally, outcome string) uint64 {
			return of.Outcomes[slices.Index(outcomes, outcome)].Load()
		},
		Waiting: func() int { return int(r.waiting.Load()) }, StoreUp: func() bool { return !r.down.Load() },
	})
	return r
}

// load has other rules in force, whose limits keep the tallies of those of their names.
func (r *replica) load(text string) {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	rules, faults := descriptors.Load([]string{file}, descriptors.Options{})
	if rules == nil {
		r.t.Fatal(faults.Text())
	}
	for _, l := range rules.Limits() {
		of := r.tallies[l.Domain+"/"+l.Name]
		if of == nil {
			of = &descriptors.Tally{}
			r.tallies[l.Domain+"/"+l.Name] = of
		}
		l.Tally.Store(of)
	}
	r.rules.Store(rules)
}

func (r *replica) limit(name string) *descriptors.Limit {
	r.t.Helper()
	for _, l := range r.rules.Load().Limits() {
		if l.Name == name {
			return l
		}
	}
	r.t.Fatalf("no limit %s", name)
	return nil
}

// meets is a request that met a limit.
func (r *replica) meets(l *descriptors.Limit, key, outcome string, tokens int64) {
	l.Tally.Load().Outcomes[slices.Index(outcomes, outcome)].Add(1)
	l.Tally.Load().Tokens.Add(uint64(tokens))
	use := Passed
	switch outcome {
	case "denied", "shadow_denied", "quota_denied":
		use = Refused
	case "settled":
		use = Settled
	case "refunded":
		return
	}
	r.Met(l, key, use, tokens)
}

// running runs a test while seconds are counted, which ends half a second after one has.
func running(t *testing.T, rules string, test func(t *testing.T, r *replica)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(t, rules)
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { r.Run(ctx) })
		time.Sleep(time.Second / 2)
		test(t, r)
		cancel()
		done.Wait()
	})
}

func second() { time.Sleep(time.Second) }

// Each second, each ten seconds and the last minute have what happened in them.
func TestTraffic_TellsWhatHappenedInEachSecond(t *testing.T) {
	running(t, twoLimits, func(t *testing.T, r *replica) {
		l := r.limit("per-user")
		var limit []Counts
		var calls []ServiceCounts
		for range 700 {
			var c Counts
			var s ServiceCounts
			for range rand.IntN(4) {
				outcome := outcomes[rand.IntN(len(outcomes))]
				tokens := rand.Int64N(3)
				r.meets(l, "k", outcome, tokens)
				c.Tokens += tokens
				switch outcome {
				case "allowed", "borrowed":
					c.Admitted++
				case "waited":
					c.Admitted++
					c.Waited++
				case "denied":
					c.Refused++
				case "shadow_denied", "quota_denied":
					c.ShadowRefused++
				case "not_charged":
					c.NotCharged++
				}
			}
			for range rand.IntN(3) {
				r.Called(ResultAdmitted, time.Millisecond)
				r.Called(ResultRefused, time.Millisecond)
				r.Called(ResultError, time.Millisecond)
				r.Waited()
				r.Degraded()
				r.StoreFailed()
				s.add(ServiceCounts{1, 1, 1, 1, 1, 1, 0, 0, 0}, 1)
			}
			limit, calls = append(limit, c), append(calls, s)
			second()
		}
		r.waiting.Store(7)
		o, d := r.Overview(""), r.Limit("d", "per-user")
		met := slices.IndexFunc(limit, func(c Counts) bool { return c != Counts{} })
		same(t, "the seconds of the limit", d.Seconds.Steps, limit[len(limit)-Seconds:])
		same(t, "the tens of the limit", d.Hour.Steps, tens(limit, sum)[len(limit)/10-len(d.Hour.Steps):])
		same(t, "the seconds of the service", without(o.Service.Seconds.Steps), calls[len(calls)-Seconds:])
		same(t, "the tens of the service", without(o.Service.Hour.Steps), tens(calls, func(all []ServiceCounts) (s ServiceCounts) {
			for _, c := range all {
				s.add(c, 1)
			}
			return s
		}))
		if o.Limits[0].Minute != sum(limit[len(limit)-60:]) || d.Minute != o.Limits[0].Minute || d.Last != limit[len(limit)-1] {
			t.Errorf("the last minute had %+v, the last second %+v", d.Minute, d.Last)
		}
		if o.Service.Waiting != 7 || o.Service.Store != "up" || len(o.Limits) != 1 || o.Limits[0].Domain != "d" || met > 60 {
			t.Errorf("%+v, first met in second %d", o.Service.State, met)
		}
		if ago := time.Since(o.Now); ago != time.Second/2 || !o.Now.Equal(d.Seconds.End) || d.Hour.End.After(o.Now) {
			t.Errorf("told until %v ago, and until %v", ago, d.Seconds.End)
		}
	})
}

func tens[T any](steps []T, add func([]T) T) (all []T) {
	for ten := range slices.Chunk(steps, 10) {
		all = append(all, add(ten))
	}
	return all
}

// without are counts without latencies.
func without(steps []ServiceCounts) []ServiceCounts {
	for i := range steps {
		steps[i].P50, steps[i].P99, steps[i].P999 = 0, 0, 0
	}
	return steps
}

func same[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %d steps, want %d:\n%+v\n%+v", what, len(got), len(want), got[:min(5, len(got))], want[:min(5, len(want))])
	}
}

// What the rules have no more gives its place free, and comes back without its past.
func TestTraffic_FollowsTheRules(t *testing.T) {
	running(t, twoLimits, func(t *testing.T, r *replica) {
		before := r.limit("per-ip")
		r.meets(r.limit("per-user"), "u", "allowed", 1)
		r.meets(before, "i", "denied", 1)
		override := &descriptors.Limit{Name: descriptors.OverrideName, Settings: &descriptors.Settings{Domain: "d"}}
		override.Tally.Store(&descriptors.Tally{})
		r.meets(override, "o", "allowed", 1)
		second()
		if got := names(r.Overview("")); got != "override per-ip per-user" {
			t.Errorf("followed are %s", got)
		}
		r.load(strings.Join(strings.Split(twoLimits, "\n")[:4], "\n"))
		second()
		if got := names(r.Overview("d")); got != "override per-user" || names(r.Overview("e")) != "" {
			t.Errorf("followed are %s", got)
		}
		if l := r.Limit("d", "per-user"); l.Minute.Admitted != 1 || len(l.Keys.Top) != 1 {
			t.Errorf("a limit that is still there is told to have %+v", l.Minute)
		}
		r.meets(before, "late", "denied", 1) // a request that was on its way
		second()
		r.load(twoLimits)
		r.meets(r.limit("per-ip"), "again", "denied", 5)
		r.meets(r.limit("per-ip"), "again", "denied", 5)
		second()
		if l := r.Limit("d", "per-ip"); l.Minute.Refused > 3 || l.Keys.Top[0].Hits != 2 || len(l.Keys.Top) > 2 {
			t.Errorf("a limit that is there again is told to have %+v, %+v", l.Minute, l.Keys.Top)
		}
	})
}

func names(o Overview) string {
	var all []string
	for _, l := range o.Limits {
		all = append(all, l.Limit)
	}
	return strings.Join(all, " ")
}

// Of more limits than are followed the first are, until they are not met any more.
func TestTraffic_FollowsSoManyLimitsAndNoMore(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("domain: d\ndescriptors:\n")
	for i := range MaxLimits + 10 {
		fmt.Fprintf(&rules, "  - {key: k%d, limits: [{name: l%d, rate: 10/s}]}\n", i, i)
	}
	running(t, rules.String(), func(t *testing.T, r *replica) {
		all := r.rules.Load().Limits()
		for _, l := range all {
			r.meets(l, "k", "allowed", 1)
		}
		second()
		if o := r.Overview(""); len(o.Limits) != MaxLimits || !o.Unfollowed {
			t.Fatalf("%d limits are followed, and it is told that there are others: %v", len(o.Limits), o.Unfollowed)
		}
		for range int(IdleAfter/time.Second) + 3 {
			r.meets(all[0], "k", "allowed", 1)
			r.meets(all[MaxLimits], "k", "allowed", 1) // which waits for a place
			second()
		}
		o, waited := r.Overview(""), r.Limit("d", all[MaxLimits].Name)
		if len(o.Limits) != 2 || o.Unfollowed || waited.Minute.Admitted == 0 || waited.Minute.Admitted > 3 {
			t.Errorf("%d limits are followed, others: %v; that which waited has %+v", len(o.Limits), o.Unfollowed, waited.Minute)
		}
	})
}

// Seconds for which the machine had no time are there, and nothing is lost.
func TestTraffic_SecondsThatWereMissedAreEmpty(t *testing.T) {
	r := newReplica(t, twoLimits)
	now := r.started
	r.meets(r.limit("per-user"), "k", "allowed", 1)
	r.tick(now.Add(time.Second))
	r.meets(r.limit("per-user"), "k", "allowed", 2)
	r.tick(now.Add(5*time.Second + 1))
	r.tick(now.Add(5*time.Second + 2)) // nothing ended
	got := r.Limit("d", "per-user").Seconds
	if len(got.Steps) != 5 || got.Steps[0].Tokens != 1 || got.Steps[4].Tokens != 2 || sum(got.Steps).Admitted != 2 {
		t.Errorf("%+v", got.Steps)
	}
	r.tick(now.Add(1e6 * time.Hour))
	if all := r.Overview("").Service.Seconds.Steps; len(all) != Seconds {
		t.Errorf("%d seconds", len(all))
	}
}

// Each quantile is at most an eighth above that of the latencies themselves, and not below.
func TestTraffic_LatenciesAreRightWithinAnEighth(t *testing.T) {
	running(t, twoLimits, func(t *testing.T, r *replica) {
		var all []time.Duration
		for i := range 60 {
			for range 50 {
				took := time.Duration(float64(time.Microsecond) * 8 * float64(uint64(1)<<rand.IntN(22)) * (1 + rand.Float64()))
				if i == 0 {
					took = -time.Second // of a clock that was set back
				}
				all = append(all, took)
				r.Called(ResultAdmitted, took)
			}
			second()
		}
		slices.Sort(all)
		m := r.Overview("").Service.Minute
		for thousand, got := range map[int]float64{500: m.P50, 990: m.P99, 999: m.P999} {
			want := all[(len(all)*thousand+999)/1000-1].Seconds()
			if got < want || got > want*1.126 {
				t.Errorf("%d of a thousand took %v, told is %v", thousand, want, got)
			}
		}
	})
	if far := endOf(stepOf(1000 * time.Hour)); far < 3600 {
		t.Errorf("the last step ends at %v s", far)
	}
}

// Requests, seconds, reloads and readers do not disturb one another, and no hit is lost.
func TestTraffic_LosesNothingWhileManyAsk(t *testing.T) {
	r := newReplica(t, twoLimits)
	l := r.limit("per-user")
	const callers, hits = 8, 1000
	var asking, looking sync.WaitGroup
	stop := make(chan struct{})
	looking.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r.tick(r.started.Add(time.Duration(i) * time.Second))
			r.Overview("")
			r.Limit("d", "per-user")
		}
	})
	for range callers {
		asking.Go(func() {
			for range hits {
				r.meets(l, "k", "denied", 1)
				r.Called(ResultRefused, time.Millisecond)
			}
		})
	}
	asking.Wait()
	close(stop)
	looking.Wait()
	r.mu.Lock()
	r.limits[name{"d", "per-user"}].tick(0, r.options.Counted)
	total := r.limits[name{"d", "per-user"}].before
	r.mu.Unlock()
	if total.Refused != callers*hits || total.Tokens != callers*hits {
		t.Errorf("%+v", total)
	}
}

func TestStream_EndsForWhoDoesNotReadAndHasABound(t *testing.T) {
	running(t, twoLimits, func(t *testing.T, r *replica) {
		slow, _, err := r.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		events, leave, err := r.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 * lag {
			r.meets(r.limit("per-ip"), "k", "denied", int64(i))
			r.Called(ResultRefused, time.Millisecond)
			r.down.Store(true)
			var e Event
			if err := json.Unmarshal(<-events, &e); err != nil {
				t.Fatal(err)
			}
			if want := (LimitEvent{"d", "per-ip", Counts{Refused: 1, Tokens: int64(i)}}); len(e.Limits) != 1 || e.Limits[0] != want || e.Service.Refused != 1 || e.Store != "down" || e.Service.P50 == 0 {
				t.Fatalf("%+v", e)
			}
		}
		read := 0
		for range slow {
			read++
		}
		if read != lag {
			t.Errorf("who did not read had %d events kept", read)
		}
		for range MaxStreams - 1 {
			if _, _, err := r.Subscribe(); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := r.Subscribe(); !errors.Is(err, ErrManyStreams) {
			t.Errorf("one stream too many: %v", err)
		}
		leave()
		leave()
		last, leaveLast, err := r.Subscribe()
		if err != nil {
			t.Errorf("a stream that was left counts: %v", err)
		}
		r.EndStreams()
		if _, more := <-last; more {
			t.Error("a stream goes on")
		}
		leaveLast()
		if _, _, err := r.Subscribe(); !errors.Is(err, ErrEnding) {
			t.Errorf("a stream when all have ended: %v", err)
		}
	})
}

// An event has a bounded number of limits, and those that refuse are the first.
func TestStream_TellsOfTheLimitsThatRefuse(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("domain: d\ndescriptors:\n")
	for i := range mostTold + 20 {
		fmt.Fprintf(&rules, "  - {key: k%d, limits: [{name: l%d, rate: 10/s}]}\n", i, i)
	}
	r := newReplica(t, rules.String())
	for _, l := range r.rules.Load().Limits() {
		r.meets(l, "k", "allowed", 1)
	}
	r.meets(r.limit("l77"), "k", "denied", 1)
	r.tick(r.started.Add(time.Second))
	if e := r.event(); len(e.Limits) != mostTold || e.LeftOut != 20 || e.Limits[0].Limit != "l77" {
		t.Errorf("%d limits, %d left out, first %v", len(e.Limits), e.LeftOut, e.Limits[0])
	}
}
