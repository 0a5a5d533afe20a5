//go:build !race

package memory

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weir-rls/weir/buckets"
)

// What a store of a million keys needs is told to operators, who size their machines
// by it.
func TestBytesAKey(t *testing.T) {
	for _, c := range []struct{ length, most int }{{24, 130}, {45, 154}, {63, 170}} {
		const keys = 200_000
		s := New(Options{})
		bucket, err := buckets.NewTokenBucket(1, time.Hour, 100)
		if err != nil {
			t.Fatal(err)
		}
		before := liveHeap()
		for i := range keys {
			key := fmt.Sprintf("{%0*d}", c.length-2, i)
			if _, err := s.Take(context.Background(), []buckets.Charge{{Key: strings.Clone(key), Bucket: bucket, Cost: 1}}); err != nil {
				t.Fatal(err)
			}
		}
		each := int(liveHeap()-before) / keys
		t.Logf("keys of %d bytes: %d bytes each", c.length, each)
		if s.Held() != keys || each > c.most {
			t.Errorf("keys of %d bytes: %d held at %d bytes each, want %d and at most %d", c.length, s.Held(), each, keys, c.most)
		}
	}
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A request that finds its buckets allocates its answer and nothing else.
func TestTakeAllocatesItsAnswerOnly(t *testing.T) {
	for n := 1; n <= 4; n++ {
		s := New(Options{})
		var charges []buckets.Charge
		for i := range n {
			charges = append(charges, buckets.Charge{Key: fmt.Sprint("{k}", i), Bucket: bucket10(t, 1_000_000), Cost: 1})
		}
		if got := testing.AllocsPerRun(1000, func() { take(t, s, charges...) }); got > 1 {
			t.Errorf("%d charges took %v allocations, want 1", n, got)
		}
	}
}
