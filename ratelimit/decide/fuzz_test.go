package decide

import (
	"bytes"
	"context"
	"net/http/httptest"
	"testing"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/weir-rls/weir/buckets/memory"
)

// fuzzed is a service with all that it can do, and little room.
func fuzzed(f *testing.F) *world {
	return newWorld(f, several+owned[len("\ndomain: d\ndescriptors:\n"):], func(o *Options) {
		o.Store = memory.New(memory.Options{MaxBuckets: 1000, Now: o.Now})
		o.Settings = Settings{
			NearLimitRatio: 0.8, LocalCacheBytes: 1 << 16, StopIncrement: true, DynamicMetadata: true, Headers: Headers{true, "L", "M", "S"},
		}
	})
}

// seeds are requests of all kinds in their wire form.
func seeds(f *testing.F) (all [][]byte) {
	given := request("five=v 3", "ten=\xc3\xa9", "own=v", "nothing=v,x=y", "ten=v 18446744073709551615")
	given.HitsAddend = 1<<32 - 1
	given.Descriptors[0].IsNegativeHits = true
	given.Descriptors[1].Limit = override(3, 7)
	given.Descriptors[3].Limit = override(3, 0)
	wire, err := proto.Marshal(given)
	if err != nil {
		f.Fatal(err)
	}
	return [][]byte{wire, bytes.ReplaceAll(wire, []byte("\xc3\xa9"), []byte("\xff\xc3")), bytes.Repeat([]byte{0x12, 0}, 1001), {0x0a, 1, 'd', 0x12, 0}}
}

// bounded fails if what the service holds has grown beyond its bounds.
func (w *world) bounded(t *testing.T) {
	if held := w.options.Store.(*memory.Store).Held(); held > 1000 {
		t.Fatalf("%d buckets", held)
	}
	if w.cache.bytes > w.cache.max || w.cache.bytes < len(w.cache.entries)*cachedBytes {
		t.Fatalf("%d bytes in %d entries of the cache", w.cache.bytes, len(w.cache.entries))
	}
}

// Whatever arrives, it ends in an answer or an error.
func FuzzShouldRateLimit(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	w := fuzzed(f)
	f.Fuzz(func(t *testing.T, sent []byte) {
		answer, err := wire{w.Service}.ask(context.Background(), sent)
		if err == nil && (answer.OverallCode == 0 || len(answer.Statuses) == 0 || len(answer.Statuses) > maxDescriptors) {
			t.Fatalf("%v", answer)
		}
		if status.Convert(err).Message() == errInternal.Error() {
			t.Fatal("it panicked")
		}
		w.bounded(t)
	})
}

func FuzzJSON(f *testing.F) {
	for _, seed := range seeds(f) {
		if request, err := decodeRequest(seed); err == nil {
			form, err := protojson.Marshal(request)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(form))
		}
	}
	f.Add(`{"domain":"d","descriptors":[{"entries":[{"key":"ten","value":"\ud800"}]}, null, {}]}`)
	w := fuzzed(f)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRecorder()
		w.JSON().ServeHTTP(r, httptest.NewRequest("POST", "/json", bytes.NewReader([]byte(body))))
		switch r.Code {
		case 200, 429:
			if r.Header().Get("Content-Type") != "application/json" {
				t.Fatal(r.Header())
			}
		case 400:
			if r.Body.String() != "Bad Request\n" {
				t.Fatal(r.Body)
			}
		default:
			t.Fatalf("%d: %s", r.Code, r.Body)
		}
		w.bounded(t)
	})
}
