package descriptors

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// A file is looked at twice a second. One that is as it was is not read into memory
// again; of any other its content is read, whatever it has in common with the one
// before.
func TestAFileThatIsAsBeforeIsNotReadIntoMemoryAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	rapid.Check(t, func(t *rapid.T) {
		before := bytes.Repeat([]byte{'x'}, rapid.SampledFrom([]int{0, 1, compared - 1, compared, compared + 1, 2*compared + 5}).Draw(t, "size"))
		now := bytes.Clone(before)
		switch rapid.SampledFrom([]string{"same", "changed", "shorter", "longer"}).Draw(t, "change") {
		case "changed":
			if len(now) > 0 {
				now[rapid.IntRange(0, len(now)-1).Draw(t, "at")] = 'y'
			}
		case "shorter":
			now = now[:rapid.IntRange(0, len(now)).Draw(t, "length")]
		case "longer":
			now = append(now, bytes.Repeat([]byte{'x'}, rapid.SampledFrom([]int{1, compared, compared + 1}).Draw(t, "more"))...)
		}
		if err := os.WriteFile(path, now, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readBounded(path, before)
		if err != nil || !bytes.Equal(got, now) {
			t.Fatalf("%d bytes were read (%v), want %d", len(got), err, len(now))
		}
		if held := len(got) > 0 && len(before) > 0 && &got[0] == &before[0]; len(now) > 0 && held != bytes.Equal(before, now) {
			t.Fatalf("the content is that of before: %v, it should be only if nothing changed", held)
		}
	})
}
