package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// A goroutine that outlives the tests outlives its work in the command too.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The page shows what came nearest to its bound, whatever else the tests log, and keeps
// what is written around the table.
func TestThePageShowsTheWorst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("before\n"+begin+"old\n"+end+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := `=== RUN TestChaos
    x_test.go:1: chaos: fault="b" bucket="token" admitted=80 bound=100 errors=0 back=20ms
    x_test.go:1: chaos: fault="b" bucket="token" admitted=90 bound=100 errors=0 back=10ms
    x_test.go:1: chaos: fault="b" bucket="token" admitted=150 bound=200 errors=2 back=0s
    x_test.go:1: chaos: fault="a" bucket="slots" admitted=0 bound=7 errors=0 back=0s
PASS
`
	var passed strings.Builder
	if err := run(path, strings.NewReader(log), &passed); err != nil || passed.String() != log {
		t.Fatalf("%v, passed on %q", err, passed.String())
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `before
<!-- chaos -->

| fault | bucket | admitted | at most | errors for clients | back after |
|---|---|---|---|---|---|
| a | slots | 0 | 7 | 0 | - |
| b | token | 90 | 100 | 2 | 20 ms |

<!-- /chaos -->
after
`
	if string(page) != want {
		t.Errorf("the page is\n%s", page)
	}
	if err := os.WriteFile(path, []byte("no place"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(path, strings.NewReader(log), io.Discard); err == nil {
		t.Error("a page without a place for the table was written")
	}
}
