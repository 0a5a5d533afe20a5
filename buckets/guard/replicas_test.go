package guard_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets/guard"
)

// A replica that relies on a count that is too small lets leases pass their bound. So
// whatever replicas come, go, stall and lose heartbeats, and whenever Redis forgets them:
// who relies on a count counts at least all who rely on one. Who beats as it should relies on
// it 2 s after the first heartbeat.
func TestReplicas_NobodyCountsTooFew(t *testing.T) {
	const life = 3 * time.Second // of a heartbeat in Redis
	relied, exact := 0, 0
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 9))
		alive := map[int]time.Duration{} // in Redis: the last heartbeat of each
		type replica struct {
			guard.Replicas
			up      bool
			next    time.Duration // its next heartbeat
			beating time.Duration // since when without a loss
		}
		fleet := make([]replica, 1+random.IntN(6))
		for now := time.Duration(0); now < 40*time.Second; now += 20 * time.Millisecond {
			if random.IntN(1000) == 0 {
				clear(alive)
			}
			for i := range fleet {
				r := &fleet[i]
				if random.IntN(400) == 0 {
					r.up = !r.up // it stalls, too, with what it knew
					r.next, r.beating = now, now
				}
				if !r.up || now < r.next {
					continue
				}
				r.next = now + guard.BeatEvery
				if random.IntN(20) == 0 { // lost
					r.beating = now + guard.BeatEvery
					continue
				}
				alive[i] = now
				for j, last := range alive {
					if now-last >= life {
						delete(alive, j)
					}
				}
				r.Heard(now, int64(len(alive)))
			}
			counts := []int64{}
			for i := range fleet {
				n := fleet[i].Count(now)
				if n > 0 {
					counts = append(counts, n)
				}
				if up := &fleet[i]; up.up && n == 0 && now-up.beating > 2020*time.Millisecond {
					t.Fatalf("seed %d at %v: replica %d beats since %v and relies on nothing", seed, now, i, up.beating)
				}
			}
			relied += len(counts)
			for _, n := range counts {
				if n < int64(len(counts)) {
					t.Fatalf("seed %d at %v: %d replicas rely on counts of %v", seed, now, len(counts), counts)
				}
			}
			if len(counts) > 0 && slices.Max(counts) == int64(len(counts)) {
				exact++
			}
		}
	}
	if relied == 0 || exact == 0 {
		t.Errorf("%d relied on a count, %d were exact", relied, exact)
	}
}
