package buckets_test

import (
	"flag"
	"log"
	"testing"

	"go.uber.org/goleak"
)

// TestMain draws 5,000 examples for each property, which take some seconds in all.
// -rapid.checks asks for another number.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "5000"); err != nil {
		log.Fatal(err)
	}
	goleak.VerifyTestMain(m)
}
