package records_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-rls/weir/records"
)

// flaky fails when told to, and counts what it is asked.
type flaky struct {
	records.Records
	failing, stalled atomic.Bool
	reads            atomic.Int32
}

func (f *flaky) Version(ctx context.Context) (int64, error) {
	if f.stalled.Load() {
		<-ctx.Done()
	}
	if f.failing.Load() || f.stalled.Load() {
		return 0, errors.New("away")
	}
	return f.Records.Version(ctx)
}

func (f *flaky) Read(ctx context.Context) (int64, map[string][]byte, error) {
	f.reads.Add(1)
	return f.Records.Read(ctx)
}

// Watch tells what is there at the start, then each change within the time, and
// reads nothing where there is none; of a store that is away it tells twice.
func TestWatchTellsWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{Records: open(t, "")}
		var told []string
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			records.Watch(ctx, store, 250*time.Millisecond,
				func(_ int64, all map[string][]byte) { told = append(told, fmt.Sprintf("%s", all)) },
				func(err error) { told = append(told, fmt.Sprint(err)) })
		}()
		expect := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(told, want) {
				t.Errorf("%s: told %q, want %q", what, told, want)
			}
			told = nil
		}
		expect("at the start", "map[]")
		version := int64(0)
		write := func(value string) {
			version, _, _ = store.Write(ctx, version, map[string][]byte{"a": []byte(value)}, nil, nil)
		}
		write("1")
		time.Sleep(250 * time.Millisecond)
		expect("after a change", "map[a:1]")
		time.Sleep(time.Minute)
		expect("a minute later")
		if n := store.reads.Load(); n != 2 {
			t.Errorf("all records were read %d times, want 2", n)
		}

		store.failing.Store(true)
		write("2")
		time.Sleep(time.Second)
		expect("while the store is away", "away")
		store.failing.Store(false)
		time.Sleep(250 * time.Millisecond)
		expect("when it is back", "map[a:2]", "<nil>")
		store.stalled.Store(true)
		time.Sleep(3 * time.Second)
		expect("while the store does not answer", "away")

		stop()
		<-ended
		expect("after the end")
	})
}
