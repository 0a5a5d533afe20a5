package buckets_test

import (
	"flag"
	"log"
	"os"
	"testing"
)

// TestMain draws 5,000 examples for each property, which take some seconds in all.
// -rapid.checks asks for another number.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "5000"); err != nil {
		log.Fatal(err)
	}
	os.Exit(m.Run())
}
