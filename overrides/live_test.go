package overrides_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/records"
)

// Of changes that two replicas make at once, none is lost: each is in the journal
// once, in the order of their versions, and the last is live on both.
func TestC07_ChangesOfTwoReplicasAtOnceAreAppliedInOrder(t *testing.T) {
	for _, server := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(server.String(), func(t *testing.T) {
			ledgers := onRedis(t, server, 2)
			replicas := []*replica{start(t, ledgers[0]), start(t, ledgers[1])}
			const each = 20
			var all sync.WaitGroup
			for i, r := range replicas {
				for n := range each {
					all.Go(func() {
						if _, _, err := r.Set(t.Context(), perUser(fmt.Sprintf("%d/s", 100*(i+1)+n)), overrides.Words{}); err != nil {
							t.Error(err)
						}
					})
				}
			}
			all.Wait()
			history := replicas[0].history()
			seen := map[string]bool{}
			for i, note := range history {
				seen[note.Changes[0].Rate] = true
				if i > 0 && note.Changes[0].Version >= history[i-1].Changes[0].Version {
					t.Errorf("version %d is told before version %d", note.Changes[0].Version, history[i-1].Changes[0].Version)
				}
				if i > 0 && history[i-1].Before.Rate != note.Changes[0].Rate {
					t.Errorf("%s replaced %s, but %s was set before it", history[i-1].Changes[0].Rate, history[i-1].Before.Rate, note.Changes[0].Rate)
				}
			}
			if len(history) != 2*each || len(seen) != 2*each {
				t.Errorf("%d changes are told, %d different ones, want %d", len(history), len(seen), 2*each)
			}
			var last int64
			if _, err := fmt.Sscanf(history[0].Changes[0].Rate, "%d/s", &last); err != nil {
				t.Fatal(err)
			}
			partstest.Eventually(t, time.Second, "the last change is live on both", func() bool {
				return replicas[0].size("u") == last && replicas[1].size("u") == last
			})
		})
	}
}

// Of many who all have seen the same version, one wins and the others learn of
// what is there now.
func TestC07_OfThoseWhoExpectTheSameVersionOneWins(t *testing.T) {
	ledgers := onRedis(t, parts.RedisServer, 2)
	replicas := []*replica{start(t, ledgers[0]), start(t, ledgers[1])}
	seen := replicas[0].must(perUser("50/s"), overrides.Words{}).Version
	var all sync.WaitGroup
	var mu sync.Mutex
	var won []int64
	var lost []overrides.Conflict
	for i := range 20 {
		all.Go(func() {
			e, _, err := replicas[i%2].Set(context.Background(), perUser(fmt.Sprintf("%d/s", 60+i)), overrides.Words{Expect: &seen})
			mu.Lock()
			defer mu.Unlock()
			var conflict overrides.Conflict
			switch {
			case err == nil:
				won = append(won, e.Version)
			case errors.As(err, &conflict):
				lost = append(lost, conflict)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 || len(lost) != 19 {
		t.Fatalf("%d won, %d lost", len(won), len(lost))
	}
	for _, conflict := range lost {
		if conflict.Current != won[0] {
			t.Errorf("told version %d, want %d", conflict.Current, won[0])
		}
	}
}

// A change is live on every replica within a second, and a second after its time
// is over it is on none, told once, whoever ends it.
func TestC07_AChangeIsLiveEverywhereWithinASecondAndEndsWhenItsTimeIsOver(t *testing.T) {
	ledgers := onRedis(t, parts.RedisServer, 2)
	replicas := []*replica{start(t, ledgers[0]), start(t, ledgers[1])}
	begun := time.Now()
	e := replicas[0].must(perUser("20/s"), overrides.Words{TTL: time.Second, Author: "ann"})
	partstest.Eventually(t, time.Second, "it is live on the other", func() bool { return replicas[1].size("u") == 20 })
	for _, r := range replicas {
		partstest.Eventually(t, 2*time.Second, "it is over", func() bool { return r.size("u") == 10 })
		if took := time.Since(begun); took < 999*time.Millisecond || took > 2*time.Second {
			t.Errorf("it was over after %v, want 1s to 2s", took)
		}
	}
	partstest.Eventually(t, time.Second, "it is told", func() bool { return len(replicas[0].history()) == 2 })
	if note := replicas[0].history()[0]; note.Action != "expired" || note.Changes[0].Version != e.Version {
		t.Errorf("told %+v", note)
	}
	partstest.Eventually(t, time.Second, "both steps are observed", func() bool { return replicas[0].told()+replicas[1].told() == 2 })
}

// broken is a ledger that cannot be reached when it says so.
type broken struct {
	records.Records
	mu   sync.Mutex
	down bool
}

func (b *broken) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

var errDown = errors.New("down")

func (b *broken) fail() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errDown
	}
	return nil
}

func (b *broken) Version(ctx context.Context) (int64, error) {
	if err := b.fail(); err != nil {
		return 0, err
	}
	return b.Records.Version(ctx)
}

func (b *broken) Read(ctx context.Context) (int64, map[string][]byte, error) {
	if err := b.fail(); err != nil {
		return 0, nil, err
	}
	return b.Records.Read(ctx)
}

// inTime runs f in virtual time, which ends all that it started.
func inTime(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

// An end needs no store: who cannot reach it ceases to apply the change all the
// same, and tells when the store is back.
func TestC07_AChangeEndsInTimeThoughTheStoreIsDown(t *testing.T) {
	inTime(t, func(t *testing.T) {
		ledger := &broken{Records: memory(t)}
		r := start(t, ledger)
		r.must(perUser("20/s"), overrides.Words{TTL: time.Hour})
		until(t, 59*time.Minute)
		if got := r.size("u"); got != 20 {
			t.Errorf("%d tokens before the end", got)
		}
		ledger.set(true)
		until(t, time.Minute+time.Second)
		if got := r.size("u"); got != 10 || len(r.List()) != 0 {
			t.Errorf("%d tokens after the end, listed %+v", got, r.List())
		}
		if _, _, err := r.Set(t.Context(), perUser("30/s"), overrides.Words{}); !errors.Is(err, errDown) || r.size("u") != 10 {
			t.Errorf("set while the store is down: %v, %d tokens", err, r.size("u"))
		}
		ledger.set(false)
		until(t, 2*time.Second)
		if h := r.history(); len(h) != 2 || h[0].Action != "expired" {
			t.Errorf("told %+v", h)
		}
		if _, all, _ := ledger.Read(t.Context()); len(all) != 0 {
			t.Errorf("the ledger still has %d records", len(all))
		}
	})
}

// until lets virtual time pass, and all that is due by then happen.
func until(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

// A change whose time is over is nothing, also before it was swept.
func TestC07_WhatIsOverIsNotThere(t *testing.T) {
	inTime(t, func(t *testing.T) {
		ledger := memory(t)
		r := still(t, ledger) // which does not sweep
		r.must(perUser("20/s"), overrides.Words{TTL: time.Minute})
		until(t, time.Minute)
		if len(r.List()) != 0 {
			t.Errorf("listed: %+v", r.List())
		}
		late := still(t, ledger)
		version, all, _ := ledger.Read(t.Context())
		late.Apply(version, all)
		if late.size("u") != 10 || len(late.List()) != 0 {
			t.Errorf("%d tokens on a replica that starts after the end", late.size("u"))
		}
		none := int64(0)
		_, before, err := r.Set(t.Context(), perUser("30/s"), overrides.Words{Expect: &none})
		if err != nil || before != nil {
			t.Errorf("set in its place: %v in place of %+v", err, before)
		}
		if h := r.history(); len(h) != 2 || h[0].Before == nil {
			t.Errorf("its end is not told: %+v", h)
		}
		fresh := still(t, ledger)
		version, all, _ = ledger.Read(t.Context())
		fresh.Apply(version, all)
		if fresh.size("u") != 30 {
			t.Errorf("%d tokens on a replica that starts now", fresh.size("u"))
		}
	})
}

// Hundreds of changes that end at once are ended by few steps, and one step each
// replica at most tells of each.
func TestManyEndsAtOnceAreTold(t *testing.T) {
	inTime(t, func(t *testing.T) {
		ledger := memory(t)
		a, b := start(t, ledger), start(t, ledger)
		const many = 250
		for i := range many {
			a.must(descriptors.Change{Domain: "d", Limit: "per-user", Rate: "20/s", For: map[string]string{"user": fmt.Sprint(i)}},
				overrides.Words{TTL: time.Hour})
		}
		until(t, time.Hour+time.Second)
		told := map[string]int{}
		steps := 0
		for _, note := range a.history() {
			if note.Action == "expired" {
				steps++
				for _, e := range note.Changes {
					told[e.For["user"]]++
				}
			}
		}
		if len(told) != many || steps > many/50 {
			t.Errorf("%d of %d ends are told in %d steps", len(told), many, steps)
		}
		for user, times := range told {
			if times != 1 {
				t.Errorf("the end of %s is told %d times", user, times)
			}
		}
		if a.size("7") != 10 || b.size("7") != 10 {
			t.Error("a change is live after its end")
		}
	})
}

// What was read before a replica wrote must not be applied after it.
func TestC07_AnOlderLedgerIsNotAppliedOverANewerOne(t *testing.T) {
	ledger := memory(t)
	r := still(t, ledger)
	r.must(perUser("20/s"), overrides.Words{})
	version, old, err := ledger.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.must(perUser("30/s"), overrides.Words{})
	r.Apply(version, old)
	if got := r.size("u"); got != 30 {
		t.Errorf("%d tokens, want those of the later change", got)
	}
}

// slow is a ledger whose first write takes until another one is done, or it seems
// that none will be.
type slow struct {
	records.Records
	one   atomic.Bool   // was written
	wrote chan struct{} // the first one is in the ledger
	after chan struct{} // closed when the other is done
}

func (s *slow) Write(ctx context.Context, expect int64, set map[string][]byte, remove []string, note []byte) (int64, bool, error) {
	version, written, err := s.Records.Write(ctx, expect, set, remove, note)
	if s.one.CompareAndSwap(false, true) {
		close(s.wrote)
		select {
		case <-s.after:
		case <-time.After(200 * time.Millisecond):
		}
	}
	return version, written, err
}

// Of two changes at once on one replica the later one is live in the end, also if
// the answer to the earlier one comes last.
func TestC07_TheLaterOfTwoChangesOnOneReplicaIsLive(t *testing.T) {
	ledger := &slow{Records: memory(t), wrote: make(chan struct{}), after: make(chan struct{})}
	r := still(t, ledger)
	var earlier sync.WaitGroup
	earlier.Go(func() { r.must(perUser("20/s"), overrides.Words{}) })
	<-ledger.wrote
	r.must(perUser("30/s"), overrides.Words{})
	close(ledger.after)
	earlier.Wait()
	if got := r.size("u"); got != 30 {
		t.Errorf("%d tokens, want those of the later change", got)
	}
}

// A record that this weir cannot read, or that is another's, is told and left
// out; those beside it are live.
func TestARecordThatCannotBeReadIsLeftOutAndTold(t *testing.T) {
	ledger := memory(t)
	r := start(t, ledger)
	r.must(perUser("20/s"), overrides.Words{})
	version, all, err := ledger.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var good []byte
	for _, raw := range all {
		good = raw
	}
	if _, written, err := ledger.Write(t.Context(), version, map[string][]byte{
		"limit/broken": []byte("{"),
		"limit/other":  good, // by another name it would count twice
		"limit/" + overrides.Key("d", "per-ip", nil): []byte(`{"format":2,"domain":"d","limit":"per-ip","rate":"1/s"}`),
		"bucket/anything": []byte("of another room"),
	}, nil, nil); err != nil || !written {
		t.Fatal(written, err)
	}
	partstest.Eventually(t, time.Second, "three are told", func() bool { return len(r.misfits()) == 3 })
	if got := r.size("u"); got != 20 || len(r.List()) != 1 {
		t.Errorf("%d tokens, %d listed", got, len(r.List()))
	}
}

// Other rooms write to the ledger often: that must not compile rules again.
func TestOthersRecordsDoNotTouchTheRules(t *testing.T) {
	ledger := memory(t)
	r := start(t, ledger)
	r.must(perUser("20/s"), overrides.Words{})
	before, applied := r.Rules(), r.timesApplied()
	version, err := ledger.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if version, _, err = ledger.Write(t.Context(), version, map[string][]byte{"bucket/b": nil}, nil, nil); err != nil {
		t.Fatal(err)
	}
	partstest.Eventually(t, time.Second, "it is seen", func() bool { return r.Version() == version })
	if r.Rules() != before || r.timesApplied() != applied {
		t.Error("the changes were applied again")
	}
}
