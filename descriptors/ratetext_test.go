package descriptors_test

import (
	"errors"
	"testing"
	"time"

	"github.com/weir-rls/weir/descriptors"
)

// A rate outside of rule files is read like one within.
func TestParseRateReadsWhatFilesState(t *testing.T) {
	for text, want := range map[string]struct {
		tokens int64
		period time.Duration
	}{
		"1/4s": {1, 4 * time.Second}, "1/4000ms": {1, 4 * time.Second}, "10/s": {10, time.Second}, "0/min": {0, time.Minute},
		"4294967295/day": {4294967295, 24 * time.Hour}, "1/365day": {1, 365 * 24 * time.Hour},
	} {
		if tokens, period, err := descriptors.ParseRate(text); err != nil || tokens != want.tokens || period != want.period {
			t.Errorf("%s is %d in %v, %v", text, tokens, period, err)
		}
	}
	for _, text := range []string{"", "10", "-1/s", "1e3/s", "4294967296/s", "1/0s", "1/eon", "1/366day", "1/9223372036854775807ms", "1/month", "1/year", "ten/eon"} {
		_, _, err := descriptors.ParseRate(text)
		var fault descriptors.ChangeFault
		if !errors.As(err, &fault) || fault.Field != "rate" || fault.Message == "" || fault.Remedy == "" {
			t.Errorf("%q: %#v, want a fault of the field rate with a remedy", text, err)
		}
	}
}
