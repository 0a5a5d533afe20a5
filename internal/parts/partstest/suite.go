package partstest

import (
	"time"

	"go.uber.org/goleak"
)

// Suite runs the tests of a package and gives what they left running 3 s to end. It is what
// goleak.VerifyTestMain is given in place of m by packages that open Redis stores.
//
// goleak itself waits for 0.4 s. A pool of go-redis whose server is away looks for it once a
// second, and sees only then that it was closed. Waiting, unlike ignoring that goroutine,
// still finds a store that nobody closes.
type Suite struct{ M goleak.TestingM }

// Run implements goleak.TestingM.
func (s Suite) Run() int {
	code := s.M.Run()
	if code != 0 {
		return code
	}
	for end := time.Now().Add(3 * time.Second); goleak.Find() != nil && time.Now().Before(end); {
	}
	return code
}
