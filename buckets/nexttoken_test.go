package buckets

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A token more is there at the time that is told and not one clock quantum before,
// also of a bucket that owes.
func TestNextToken_IsWhenOneMoreIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		terms := Terms{
			Tokens: rapid.Int64Range(1, 1000).Draw(t, "tokens"), Period: time.Duration(rapid.Int64Range(1, 10_000).Draw(t, "period")) * time.Millisecond,
			Capacity: rapid.Int64Range(1, 1000).Draw(t, "capacity"), MaxDebt: rapid.Int64Range(0, 100).Draw(t, "debt"),
		}
		b, err := terms.TokenBucket()
		if err != nil {
			t.Fatal(err)
		}
		used := rapid.Int64Range(0, b.Deepest()).Draw(t, "used")
		next, left := b.NextToken(used), func(after time.Duration) int64 {
			refilled := after.Microseconds() / b.Quantum * b.TicksPerQuantum
			return b.Remaining(max(0, used-refilled))
		}
		if used == 0 {
			if next != 0 {
				t.Fatalf("full, and one more in %v", next)
			}
			return
		}
		if quantum := time.Duration(b.Quantum) * time.Microsecond; left(next) <= left(0) || left(next-quantum) > left(0) {
			t.Fatalf("%d left, %d in %v, %d a quantum before", left(0), left(next), next, left(next-quantum))
		}
	})
}
