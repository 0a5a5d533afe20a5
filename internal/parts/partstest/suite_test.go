package partstest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Suite{M: m}) }

// leaves is a package whose tests exit with a code and leave a goroutine for a second.
type leaves int

func (code leaves) Run() int {
	go time.Sleep(time.Second)
	return int(code)
}

func TestSuite_WaitsForWhatEndsSoonAfterTheTests(t *testing.T) {
	if code := (Suite{M: leaves(0)}).Run(); code != 0 {
		t.Errorf("a good run exits with %d", code)
	}
	if err := goleak.Find(); err != nil {
		t.Errorf("did not wait: %v", err)
	}
	if code := (Suite{M: leaves(1)}).Run(); code != 1 {
		t.Errorf("a failed run exits with %d", code)
	}
	if goleak.Find() == nil {
		t.Error("a failed run waits, where nobody looks for goroutines")
	}
}
