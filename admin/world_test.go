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
	"testing"
	"time"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/records"
)

const ruleFile = `
domain: llm
pools:
  - {name: units, rate: 10/s, burst: 100}
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
`

// world is the HTTP side of one replica on its real books.
type world struct {
	*admin.Pages
	t      testing.TB
	ledger records.Records
	rules  *descriptors.Source
	book   *overrides.Book
}

func newWorld(t testing.TB, ledger records.Records, change func(*admin.API)) *world {
	t.Helper()
	w := &world{Pages: admin.New(), t: t, ledger: ledger, rules: source(t)}
	w.book = overrides.New(overrides.Options{Records: ledger, Rules: w.rules})
	watch(t, w)
	api := admin.API{Rules: w.rules, Book: w.book}
	if change != nil {
		change(&api)
	}
	api.Add(w.Pages)
	w.AddHealth(func() string { return "" })
	return w
}

// alone is a world whose ledger nobody else has.
func alone(t testing.TB) *world {
	t.Helper()
	ledger, err := records.Open("")
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, ledger, nil)
}

func source(t testing.TB) *descriptors.Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"llm.yaml": ruleFile, "shop.yaml": otherFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := descriptors.NewSource(dir, descriptors.Options{})
	if report := s.Reload(); len(report.Faults) > 0 {
		t.Fatal(report.Faults.Text())
	}
	return s
}

// watch keeps the book in step with its ledger, as a replica does.
func watch(t testing.TB, w *world) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 2)
	go func() {
		records.Watch(ctx, w.ledger, 20*time.Millisecond, w.book.Apply, func(err error) {
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
		ended <- struct{}{}
	}()
	go func() {
		w.book.Run(ctx)
		ended <- struct{}{}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		<-ended
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

func eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(within); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
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
