package memory

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// The table must be a map, with all hashes alike too.
func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := newTable(), map[string]*bucket{}
		if hashes := rapid.Uint64Range(1, 5).Draw(t, "hashes"); hashes < 5 {
			seeded := table.hash
			table.hash = func(key string) uint64 { return seeded(key) % hashes }
		}
		keys := rapid.SampledFrom([]int{4, 50, 3000}).Draw(t, "keys")
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, keys), 1, 2000).Draw(t, "steps") {
			key, moved := fmt.Sprint(n), table.moved
			if b := model[key]; b != nil {
				table.remove(b)
				table.release(b)
				delete(model, key)
			} else {
				b = table.allot()
				b.key = key
				table.add(b)
				model[key] = b
			}
			if table.get(key) != model[key] || table.size != len(model) {
				t.Fatalf("%s: found %v of %d, want %v of %d", key, table.get(key), table.size, model[key], len(model))
			}
			if table.moved > moved+uint64(len(model)) {
				t.Fatalf("%d entries moved of %d", table.moved-moved, len(model))
			}
		}
		for key, b := range model {
			if table.get(key) != b || b.key != key {
				t.Fatal("lost", key)
			}
		}
	})
}

// Growth must not make one call pay for all the others: with 100,000 keys no call
// moves more than a chain.
func TestNoCallPaysForGrowth(t *testing.T) {
	table := newTable()
	most := uint64(0)
	for i := range 100_000 {
		b, moved := table.allot(), table.moved
		b.key = fmt.Sprint(i)
		table.add(b)
		most = max(most, table.moved-moved)
	}
	if most == 0 || most > 32 {
		t.Errorf("one call moved %d entries, want 1 to 32", most)
	}
	if table.moved > 400_000 {
		t.Errorf("%d entries moved for 100,000 keys", table.moved)
	}
}
