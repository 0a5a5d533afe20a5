package limiter_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The program that a reader copies from the page compiles.
func TestTheProgramOnTheLibrarysPageCompiles(t *testing.T) {
	page, err := os.ReadFile("../docs/how-to/library.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(page, -1)
	if len(programs) != 1 {
		t.Fatalf("%d programs on the page, want one", len(programs))
	}
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, programs[0][1], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "vet", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
