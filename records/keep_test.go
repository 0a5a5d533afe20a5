package records_test

import (
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/records"
)

func write(t *testing.T, store records.Records, set map[string][]byte, remove ...string) int64 {
	t.Helper()
	version, _, err := store.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	version, written, err := store.Write(t.Context(), version, set, remove, []byte("note"))
	if err != nil || !written {
		t.Fatal(written, err)
	}
	return version
}

func record(name, value string) map[string][]byte { return map[string][]byte{name: []byte(value)} }

// A Redis that loses what was set, wholly or its latest writes, gets it back from
// the replicas, once, and no version stands for two states.
func TestALedgerThatTheStoreLostIsWrittenBack(t *testing.T) {
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		t.Run(part.String(), func(t *testing.T) {
			server := partstest.Redis(t, part)
			admin := goredis.NewClient(&goredis.Options{Addr: server.Addr})
			defer func() { _ = admin.Close() }()
			plain := connect(t, server.URL).Records("weir:live")
			var replicas []*records.Kept
			for range 8 {
				replicas = append(replicas, records.Keep(connect(t, server.URL).Records("weir:live")))
			}
			seen := func() (versions map[int64]bool) {
				versions = map[int64]bool{}
				var all sync.WaitGroup
				var mu sync.Mutex
				for _, r := range replicas {
					all.Go(func() {
						version, err := r.Version(t.Context())
						_, got, readErr := r.Read(t.Context())
						mu.Lock()
						defer mu.Unlock()
						versions[version] = true
						if err != nil || readErr != nil || len(got) != 2 || string(got["limit/a"]) != "2" || string(got["bucket/b"]) != "1" {
							t.Errorf("a replica reads %q of version %d, %v, %v", got, version, err, readErr)
						}
					})
				}
				all.Wait()
				return versions
			}
			write(t, plain, record("limit/a", "1"))
			write(t, plain, record("bucket/removed later", "1"))
			old := admin.Dump(t.Context(), "{weir:live}:values").Val()
			oldVersion := admin.Get(t.Context(), "{weir:live}:version").Val()
			write(t, plain, record("limit/a", "2"), "bucket/removed later")
			before := write(t, plain, record("bucket/b", "1"))
			seen()

			// A server that loses something was away for longer than the millisecond
			// that versions are told apart by.
			for admin.Time(t.Context()).Val().UnixMilli() <= before {
				continue
			}
			admin.FlushAll(t.Context())
			for version := range seen() {
				if version <= before {
					t.Errorf("what was written back is of version %d, which stood for what was lost", version)
				}
			}
			notes, err := plain.Notes(t.Context(), 10)
			if err != nil || len(notes) != 1 || !strings.Contains(string(notes[0]), "restored") {
				t.Errorf("eight replicas left the notes %q, %v, want one", notes, err)
			}

			admin.Set(t.Context(), "{weir:live}:version", oldVersion, 0)
			admin.RestoreReplace(t.Context(), "{weir:live}:values", 0, old)
			if versions := seen(); len(versions) != 1 {
				t.Errorf("the replicas see the versions %v", versions)
			}
			if _, got, err := plain.Read(t.Context()); err != nil || len(got) != 2 {
				t.Errorf("Redis holds %q, %v after an old copy of it came back", got, err)
			}
		})
	}
}

// A change that was about to be made when the store lost everything is made on
// what the replicas know, not on nothing.
func TestAChangeAfterALossKeepsWhatWasSet(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer func() { _ = admin.Close() }()
	kept := records.Keep(connect(t, server.URL).Records("weir:live"))
	write(t, kept, record("limit/a", "1"))
	admin.FlushAll(t.Context())
	write(t, kept, record("bucket/b", "2"))
	if _, got, err := records.Keep(connect(t, server.URL).Records("weir:live")).Read(t.Context()); err != nil || len(got) != 2 {
		t.Errorf("Redis holds %q, %v, want what was set before and after the loss", got, err)
	}
}

// A server whose clock is behind that of the lost one gives out versions that are
// old to the replicas. They settle on them, each after one write at most.
func TestReplicasSettleOnAServerWhoseClockIsBehind(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer func() { _ = admin.Close() }()
	replicas := []*records.Kept{}
	for range 3 {
		replicas = append(replicas, records.Keep(connect(t, server.URL).Records("weir:live")))
	}
	admin.Set(t.Context(), "{weir:live}:version", 1<<50, 0)
	write(t, replicas[0], record("limit/a", "1"))
	for _, r := range replicas {
		if _, got, err := r.Read(t.Context()); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
	}
	admin.FlushAll(t.Context())
	for range 2 {
		for _, r := range replicas {
			if _, got, err := r.Read(t.Context()); err != nil || len(got) != 1 {
				t.Errorf("a replica reads %q, %v", got, err)
			}
		}
	}
	if notes, err := replicas[0].Notes(t.Context(), 10); err != nil || len(notes) != len(replicas) {
		t.Errorf("%d writes brought back one record on %d replicas, %v", len(notes), len(replicas), err)
	}
}

// Redis restarted with weir's keys of another kind is an error, and no panic.
func TestAForeignValueIsAnError(t *testing.T) {
	server := partstest.Redis(t, parts.RedisServer)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer func() { _ = admin.Close() }()
	store := connect(t, server.URL).Records("weir:live")
	admin.Set(t.Context(), "{weir:live}:values", "text", 0)
	admin.Set(t.Context(), "{weir:live}:version", "text", 0)
	admin.Set(t.Context(), "{weir:live}:journal", "text", 0)
	_, versionErr := store.Version(t.Context())
	_, _, readErr := store.Read(t.Context())
	_, _, writeErr := store.Write(t.Context(), 0, record("a", "1"), nil, nil)
	_, notesErr := store.Notes(t.Context(), 1)
	for what, err := range map[string]error{"version": versionErr, "read": readErr, "write": writeErr, "notes": notesErr} {
		if err == nil || !strings.Contains(err.Error(), "weir:live") {
			t.Errorf("%s: %v, want an error that names the key", what, err)
		}
	}
}
