package capacity_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/records"
)

// units is the pool that most tests are about: 20 units an instance, stated for
// five of them.
var units = descriptors.PoolID{Domain: "shop", Name: "units"}

const rules = `
domain: shop
pools:
  - name: units
    rate: 10/s
    burst: 100
    instances: {units_each: 20, min: 20, max: 400}
    feedback: {bad_percent: 10, min_percent: 50}
  - {name: slots, slots: 20}
descriptors:
  - {key: api, value: a, draw: {pool: units}}
  - {key: api, value: b, draw: {pool: units, weight: 2}}
  - {key: api, value: c, draw: {pool: units, weight: 3}}
  - {key: job, draw: {pool: slots}}
`

// shared is what the replicas of a fleet share.
type shared struct {
	store       buckets.Store
	live, sizes records.Records
	tally       capacity.Tally
}

// inMemory is what a single replica has.
func inMemory(t *testing.T) shared {
	return shared{memory.New(memory.Options{}), ledger(t), ledger(t), &capacity.OneReplica{}}
}

func ledger(t *testing.T) records.Records {
	t.Helper()
	l, err := records.Open("")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// replica is one weir, as far as sizes go.
type replica struct {
	*capacity.Controller
	source *descriptors.Source
	stop   func()

	mu      sync.Mutex
	changes []string // of the pool units that this replica led, as size/source
	failed  []string
}

// start starts a replica.
func start(t *testing.T, s shared, content string) *replica {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &replica{source: descriptors.NewSource(path, descriptors.Options{})}
	if report := r.source.Reload(); report.Faults.Failed() {
		t.Fatal(report.Faults.Text())
	}
	r.Controller = capacity.New(capacity.Options{
		Store: s.store, Live: s.live, Sizes: s.sizes, Tally: s.tally,
		Pools: func() []descriptors.Pool { return r.source.Rules().Pools() }, Resize: r.source.Resize,
		Changed: func(before, after capacity.PoolState) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if after.PoolID == units && (after.Size != before.Size || after.Source != before.Source) {
				r.changes = append(r.changes, fmt.Sprintf("%d/%s", after.Size, after.Source))
			}
		},
		Failed: func(part string, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if err != nil {
				part += ": " + err.Error()
			} else {
				part += " works"
			}
			r.failed = append(r.failed, part)
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	r.stop = func() { cancel(); running.Wait() }
	t.Cleanup(r.stop)
	return r
}

// led are the changes that this replica made, which are then forgotten.
func (r *replica) led() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	led := strings.Join(r.changes, " ")
	r.changes = nil
	return led
}

// size is what the pool holds that this replica judges requests by.
func (r *replica) size(t *testing.T) int64 {
	t.Helper()
	found := r.source.Rules().Resolve(&descriptors.Request{Domain: "shop", Descriptors: []descriptors.Descriptor{{Entries: []descriptors.Entry{{Key: "api", Value: "a"}}}}})
	return found.Matches[0].Charge.Bucket.Size()
}

func (r *replica) beat(t *testing.T, instance string, n int64, ttl time.Duration) {
	t.Helper()
	if err := r.Beat(t.Context(), units, instance, n, ttl); err != nil {
		t.Fatal(err)
	}
}

// state is that of the pool units.
func (r *replica) state(t *testing.T) capacity.PoolState {
	t.Helper()
	all, err := r.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// fault is what err says of a field, and fails the test if it is no fault.
func fault(t *testing.T, err error) descriptors.ChangeFault {
	t.Helper()
	f, ok := errors.AsType[descriptors.ChangeFault](err)
	if !ok || f.Remedy == "" && !f.Unknown {
		t.Errorf("want a fault with a remedy, got %v", err)
	}
	return f
}
