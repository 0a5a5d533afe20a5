package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/buckets"
	"github.com/weir-rls/weir/buckets/memory"
	"github.com/weir-rls/weir/buckets/redis"
	"github.com/weir-rls/weir/buckets/waiting"
	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/internal/parts"
	"github.com/weir-rls/weir/internal/parts/partstest"
	"github.com/weir-rls/weir/named"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/records"
	"github.com/weir-rls/weir/service"
	"github.com/weir-rls/weir/traffic"
)

const ruleFile = `
domain: llm
pools:
  - {name: units, rate: 10/s, burst: 100, instances: {units_each: 20, min: 20, max: 400}, feedback: {}}
descriptors:
  - {key: user, limits: [{name: per-user, rate: 60/min, burst: 100}]}
  - {key: user, value: vip, limits: [{name: vip, rate: 600/min}]}
  - {key: path, value: /api/a, limits: [{rate: 5/s}]}
  - {key: jobs, limits: [{name: at-once, algorithm: concurrency, slots: 5}]}
  - {key: api, value: a, draw: {pool: units, class: a, weight: 1}}
  - {key: api, value: c, draw: {pool: units, class: c, weight: 3}}
`

const otherFile = `
domain: shop
descriptors:
  - {key: user, limits: [{name: per-user, rate: 1/s}]}
  - {key: ip, limits: [{name: per-ip, rate: 1/s}]}
  - {key: file, value: img/*, share_threshold: true, detailed_metric: true, metadata: {plan: {tiers: [free, 2]}}, limits: [{name: per-file, rate: 1/s}]}
  - {key: agent, value_to_metric: true, limits: [{name: per-agent, rate: 1/s}]}
`

const presetFile = `
domain: models
presets:
  - model_limits: {period: 1m, total: 0, success: 1000, groups: {default: [200, 100], vip: [0, 1000]}}
`

// place is what the replicas of a fleet share.
type place struct {
	ledger, sizes records.Records
	store         buckets.Store
	tally         capacity.Tally
}

// inMemory is a place of one replica.
func inMemory(t testing.TB) place {
	t.Helper()
	ledger, err := records.Open("")
	if err != nil {
		t.Fatal(err)
	}
	sizes, err := records.Open("")
	if err != nil {
		t.Fatal(err)
	}
	return place{ledger, sizes, memory.New(memory.Options{MaxBuckets: 1000}), &capacity.OneReplica{}}
}

// onRedis are n replicas' views of one Redis.
func onRedis(t testing.TB, n int) []place {
	t.Helper()
	process := partstest.Redis(t, parts.RedisServer)
	places := make([]place, n)
	for i := range places {
		store, err := redis.Open(process.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		places[i] = place{records.Keep(store.Records("weir:live")), records.Keep(store.Records("weir:sizes")), store, store}
	}
	return places
}

// world is the HTTP side of one replica on its real books.
type world struct {
	*admin.Pages
	place
	t     testing.TB
	dir   string // of the rule files
	rules *descriptors.Source
	book  *overrides.Book
}

func newWorld(t testing.TB, at place, change func(*admin.API)) *world {
	t.Helper()
	return newWorldBehind(t, admin.Guard{}, at, change)
}

// newWorldBehind is a world that a guard lets nobody into whom it does not know.
func newWorldBehind(t testing.TB, guard admin.Guard, at place, change func(*admin.API)) *world {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"llm.yaml": ruleFile, "shop.yaml": otherFile, "models.yaml": presetFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newWorldOf(t, guard, at, dir, change)
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// newWorldOf is a world with the rules of a directory.
func newWorldOf(t testing.TB, guard admin.Guard, at place, dir string, change func(*admin.API)) *world {
	t.Helper()
	w := &world{Pages: admin.New(guard), place: at, t: t, dir: dir, rules: descriptors.NewSource(dir, descriptors.Options{})}
	if report := w.rules.Reload(); len(report.Faults) > 0 {
		t.Fatal(report.Faults.Text())
	}
	room := waiting.New(waiting.Options{Store: at.store})
	judge := service.New(service.Options{Rules: w.rules.Rules, Room: room, Bounds: service.Bounds{Descriptors: 32}, Keys: service.NewKeys([]byte("a key of thirty-two bytes for the test")), Observe: silent})
	w.book = overrides.New(overrides.Options{Records: at.ledger, Rules: w.rules})
	api := admin.API{
		Rules: w.rules, Book: w.book, Buckets: named.New(named.Options{Records: at.ledger, Room: room}),
		Capacity: capacity.New(capacity.Options{
			Store: at.store, Live: at.ledger, Sizes: at.sizes, Tally: at.tally, Resize: w.rules.Resize,
			Pools: func() []descriptors.Pool { return w.rules.Rules().Pools() },
		}),
		Traffic: traffic.New(traffic.Options{Rules: w.rules.Rules, Waiting: room.Waiting, StoreUp: func() bool { return true }}),
		Ask:     judge.AskJSON, Explain: judge.ExplainJSON, Reset: judge.Reset,
		Levels: func(ctx context.Context, r descriptors.Request) (any, error) { return judge.Levels(ctx, r) },
	}
	if change != nil {
		change(&api)
	}
	w.run(api)
	api.Add(w.Pages)
	w.AddHealth(func() string { return "" })
	return w
}

// silent is told what a service sees, and forgets it.
var silent = service.Observer{
	Request: func(service.Result, time.Duration, string) {}, Decision: func(*descriptors.Limit, service.Outcome, int64, string) {}, Unmatched: func(string, int) {},
	UnknownDomain: func() {}, BadOverrides: func(string, int) {}, Excess: func(service.Bound) {}, Waited: func(time.Duration) {},
	WrittenOff: func(string, string, int64) {}, Receipt: func(service.Receipt) {},
}

// alone is a replica that shares its buckets with nobody.
func alone(t testing.TB) *world {
	t.Helper()
	return newWorld(t, inMemory(t), nil)
}

// run does what a replica does until the test ends.
func (w *world) run(api admin.API) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		records.Watch(ctx, w.ledger, 20*time.Millisecond, func(version int64, all map[string][]byte) {
			w.book.Apply(version, all)
			api.Buckets.Load(version, all)
		}, func(err error) {
			if err != nil {
				w.t.Error(err)
			}
		})
	})
	all.Go(func() { w.book.Run(ctx) })
	all.Go(func() { api.Capacity.Run(ctx) })
	w.t.Cleanup(func() {
		cancel()
		all.Wait()
	})
}

// request is one as a caller on the same machine sends it.
func request(method, target, body string) *http.Request {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.RemoteAddr, r.Host = "127.0.0.1:4711", "127.0.0.1:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// answer is what a request was answered.
type answer struct {
	*httptest.ResponseRecorder
	fields map[string]any
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	a := answer{httptest.NewRecorder(), map[string]any{}}
	w.ServeHTTP(a, r)
	if strings.Contains(a.Header().Get("Content-Type"), "json") {
		if err := json.Unmarshal(a.Body.Bytes(), &a.fields); err != nil {
			w.t.Fatalf("%s %s: %v in %s", r.Method, r.URL, err, a.Body)
		}
	}
	return a
}

func (w *world) ask(method, target, body string) answer {
	w.t.Helper()
	return w.do(request(method, target, body))
}

// must is ask where nothing else than a status will do.
func (w *world) must(status int, method, target, body string) answer {
	w.t.Helper()
	a := w.ask(method, target, body)
	if a.Code != status {
		w.t.Fatalf("%s %s %s: %d %s, want %d", method, target, body, a.Code, a.Body, status)
	}
	return a
}

// at is what stands at a path of names, each of an object or the first of a list.
func (a answer) at(names ...string) any {
	var value any = a.fields
	for _, name := range names {
		if list, ok := value.([]any); ok {
			if len(list) == 0 {
				return nil
			}
			value = list[0]
		}
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[name]
	}
	return value
}

// version is the ledger's: what is refused must not change it.
func (w *world) version() int64 {
	w.t.Helper()
	version, err := w.ledger.Version(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return version
}

// everywhere runs a test in memory and on Redis.
func everywhere(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, alone(t)) })
	t.Run("redis", func(t *testing.T) { test(t, newWorld(t, onRedis(t, 1)[0], nil)) })
}
