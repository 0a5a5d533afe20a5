package records_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/records"
)

// subject is one kind of store of records.
type subject struct {
	// open returns n stores that share one fresh state, as n replicas do.
	open func(t *testing.T, n int) []records.Records
	// disturb does what operators do and no caller may notice. May be nil.
	disturb func(t *testing.T)
}

func subjects(t *testing.T) map[string]subject {
	file := func(dir func(t *testing.T) string) subject {
		return subject{open: func(t *testing.T, n int) []records.Records {
			return slices.Repeat([]records.Records{open(t, dir(t))}, n)
		}}
	}
	all := map[string]subject{
		"memory":    file(func(*testing.T) string { return "" }),
		"directory": file(func(t *testing.T) string { return t.TempDir() }),
	}
	for _, part := range []parts.Part{parts.RedisServer, parts.ValkeyServer} {
		all[part.String()] = onServer(t, part)
	}
	plain := maps.Clone(all)
	for name, s := range plain {
		all["kept "+name] = subject{disturb: s.disturb, open: func(t *testing.T, n int) []records.Records {
			stores := s.open(t, n)
			for i, store := range stores {
				stores[i] = records.Keep(store)
			}
			return stores
		}}
	}
	return all
}

func onServer(t *testing.T, part parts.Part) subject {
	server := partstest.Redis(t, part)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = admin.Close() })
	return subject{
		open: func(t *testing.T, n int) (stores []records.Records) {
			if err := admin.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			for range n {
				stores = append(stores, connect(t, server.URL).Records("weir:test"))
			}
			return stores
		},
		disturb: func(t *testing.T) {
			if err := admin.ScriptFlush(t.Context()).Err(); err != nil {
				t.Error(err)
			}
		},
	}
}

func connect(t *testing.T, url string) *redis.Store {
	t.Helper()
	s, err := redis.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func open(t *testing.T, dir string) *records.File {
	t.Helper()
	f, err := records.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestConformance(t *testing.T) {
	for name, s := range subjects(t) {
		t.Run(name, func(t *testing.T) {
			t.Run("a history is that of the model", func(t *testing.T) { testHistory(t, s) })
			t.Run("of two writers exactly one wins", func(t *testing.T) { testRaces(t, s) })
			t.Run("the journal keeps the latest thousand", func(t *testing.T) { testJournal(t, s) })
		})
	}
}

// model is what a store of records is, in the simplest terms.
type model struct {
	version int64
	records map[string][]byte
	notes   [][]byte // newest first
}

func testHistory(t *testing.T, s subject) {
	names := rapid.SampledFrom([]string{"limit/a", "limit/b", "bucket/\x00\xff", "", "version", "pool/{x}"})
	values := rapid.SliceOfN(rapid.Byte(), 0, 8)
	rapid.Check(t, func(r *rapid.T) {
		stores := s.open(t, 2)
		m := model{records: map[string][]byte{}}
		r.Repeat(map[string]func(*rapid.T){
			"write": func(r *rapid.T) {
				expect := m.version + rapid.SampledFrom([]int64{0, 0, 0, 1, -1}).Draw(r, "off")
				set := rapid.MapOfN(names, values, 0, 3).Draw(r, "set")
				remove := rapid.SliceOfN(names, 0, 2).Draw(r, "remove")
				note := values.Draw(r, "note")
				version, written, err := one(r, stores).Write(t.Context(), expect, set, remove, note)
				if err != nil || written != (expect == m.version) {
					r.Fatalf("write at %d of %d: written %v, %v", expect, m.version, written, err)
				}
				if !written {
					if version != m.version {
						r.Fatalf("a write that was not made answers version %d, want %d", version, m.version)
					}
					return
				}
				if version <= m.version {
					r.Fatalf("version %d follows %d", version, m.version)
				}
				m.version = version
				for _, name := range remove {
					delete(m.records, name)
				}
				maps.Copy(m.records, set)
				if len(note) > 0 {
					m.notes = slices.Insert(m.notes, 0, note)
				}
			},
			"": func(r *rapid.T) { m.compare(t, r, one(r, stores)) },
		})
	})
}

func one(r *rapid.T, stores []records.Records) records.Records {
	return rapid.SampledFrom(stores).Draw(r, "replica")
}

func (m *model) compare(t *testing.T, r *rapid.T, store records.Records) {
	version, err := store.Version(t.Context())
	if err != nil || version != m.version {
		r.Fatalf("version %d, %v, want %d", version, err, m.version)
	}
	version, got, err := store.Read(t.Context())
	if err != nil || version != m.version || !maps.EqualFunc(got, m.records, bytes.Equal) {
		r.Fatalf("read %d %q, %v, want %d %q", version, got, err, m.version, m.records)
	}
	n := rapid.IntRange(-1, 5).Draw(r, "n")
	notes, err := store.Notes(t.Context(), n)
	if want := m.notes[:max(0, min(n, len(m.notes)))]; err != nil || !slices.EqualFunc(notes, want, bytes.Equal) {
		r.Fatalf("%d notes: %q, %v, want %q", n, notes, err, want)
	}
}

// Eight writers on two replicas count in one record, each from what it read. No
// count is lost, and each version was won by one of them.
func testRaces(t *testing.T, s subject) {
	const writers, counts = 8, 25
	stores := s.open(t, 2)
	var won sync.Map
	var running atomic.Int32
	running.Store(writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			defer running.Add(-1)
			for n := 0; n < counts; {
				store := stores[w%2]
				version, got, err := store.Read(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				count, _ := strconv.Atoi(string(got["count"]))
				next := map[string][]byte{"count": []byte(strconv.Itoa(count + 1))}
				version, written, err := store.Write(t.Context(), version, next, nil, []byte(fmt.Sprint(count+1)))
				if err != nil {
					t.Error(err)
					return
				}
				if written {
					n++
					if other, twice := won.LoadOrStore(version, w); twice {
						t.Errorf("version %d was won by %v and %d", version, other, w)
					}
				}
			}
		})
	}
	for s.disturb != nil && running.Load() > 0 {
		s.disturb(t)
	}
	all.Wait()
	_, got, err := stores[0].Read(t.Context())
	if err != nil || string(got["count"]) != strconv.Itoa(writers*counts) {
		t.Errorf("counted to %s, %v, want %d", got["count"], err, writers*counts)
	}
	notes, err := stores[1].Notes(t.Context(), writers*counts+1)
	if err != nil || len(notes) != writers*counts {
		t.Fatalf("%d notes, %v, want %d", len(notes), err, writers*counts)
	}
	for i, note := range notes {
		if want := strconv.Itoa(writers*counts - i); string(note) != want {
			t.Fatalf("note %d is %s, want %s: the journal is out of order", i, note, want)
		}
	}
}

func testJournal(t *testing.T, s subject) {
	store := s.open(t, 1)[0]
	version := int64(0)
	for i := range 1005 {
		next, written, err := store.Write(t.Context(), version, nil, nil, []byte(strconv.Itoa(i)))
		if err != nil || !written {
			t.Fatal(written, err)
		}
		version = next
	}
	notes, err := store.Notes(t.Context(), 5000)
	if err != nil || len(notes) != 1000 || string(notes[0]) != "1004" || string(notes[999]) != "5" {
		t.Errorf("%d notes from %s to %s, %v, want the 1000 from 1004 to 5", len(notes), notes[0], notes[len(notes)-1], err)
	}
}
