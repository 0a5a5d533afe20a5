package overrides_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/records"
)

const rules = `
domain: d
descriptors:
  - {key: user, limits: [{name: per-user, rate: 10/s}]}
  - {key: ip, limits: [{name: per-ip, rate: 10/s}]}
  - {key: heavy, limits: [{name: heavy, rate: 10/s, weight: 4}]}
`

// replica is what one replica has of the changes: its rules and its book.
type replica struct {
	*overrides.Book
	t    testing.TB
	file string
	*descriptors.Source

	mu      sync.Mutex
	written []overrides.Note
	leftOut []error
	applied int
}

// start makes a replica that keeps in step with a ledger until the test ends.
func start(t testing.TB, ledger records.Records) *replica {
	t.Helper()
	r := still(t, ledger)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { records.Watch(ctx, ledger, 50*time.Millisecond, r.Apply, func(error) {}) })
	all.Go(func() { r.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	return r
}

// still makes a replica that sees nothing of the others.
func still(t testing.TB, ledger records.Records) *replica {
	t.Helper()
	r := &replica{t: t, file: filepath.Join(t.TempDir(), "rules.yaml")}
	r.Source = descriptors.NewSource(r.file, descriptors.Options{})
	r.reload(rules)
	r.Book = overrides.New(overrides.Options{Records: ledger, Rules: r.Source, Observe: overrides.Observer{
		Written: func(n overrides.Note) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.written = append(r.written, n)
		},
		Applied: func(_ int, leftOut []error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.leftOut = leftOut
			r.applied++
		},
	}})
	return r
}

func (r *replica) reload(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if report := r.Reload(); report.Faults.Failed() {
		r.t.Fatal(report.Faults.Text())
	}
}

// size is the capacity that the bucket of a user has now.
func (r *replica) size(user string) int64 {
	return r.of("user", user).Bucket.Size()
}

func (r *replica) of(key, value string) *descriptors.Limit {
	r.t.Helper()
	request := descriptors.Request{Domain: "d", Descriptors: []descriptors.Descriptor{{Entries: []descriptors.Entry{{Key: key, Value: value}}}}}
	matches := r.Rules().Resolve(&request).Matches
	if len(matches) != 1 {
		r.t.Fatalf("%s=%s meets %d limits", key, value, len(matches))
	}
	return matches[0].Limit
}

func (r *replica) misfits() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leftOut
}

// told is how many steps this replica has written.
func (r *replica) told() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.written)
}

func (r *replica) timesApplied() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied
}

// history is all that the journal tells, newest first.
func (r *replica) history() []overrides.Note {
	r.t.Helper()
	texts, err := r.History(context.Background(), 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	notes := make([]overrides.Note, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal(text, &notes[i]); err != nil {
			r.t.Fatal(err)
		}
	}
	return notes
}

func (r *replica) must(c descriptors.Change, w overrides.Words) overrides.Entry {
	r.t.Helper()
	e, _, err := r.Set(context.Background(), c, w)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func perUser(rate string) descriptors.Change {
	return descriptors.Change{Domain: "d", Limit: "per-user", Rate: rate}
}

func memory(t testing.TB) records.Records {
	t.Helper()
	ledger, err := records.Open("")
	if err != nil {
		t.Fatal(err)
	}
	return ledger
}

// onRedis makes handles of one ledger, each with connections of its own.
func onRedis(t testing.TB, server parts.Part, n int) []records.Records {
	t.Helper()
	process := partstest.Redis(t, server)
	ledgers := make([]records.Records, n)
	for i := range ledgers {
		store, err := redis.Open(process.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		ledgers[i] = records.Keep(store.Records("weir:live"))
	}
	return ledgers
}

// flawed is the fault that an error is.
func flawed(err error) descriptors.ChangeFault {
	var fault descriptors.ChangeFault
	errors.As(err, &fault)
	return fault
}
