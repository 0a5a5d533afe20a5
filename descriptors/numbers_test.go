package descriptors

import (
	"strings"
	"testing"
)

// Numbers that no bucket can have are refused with their place, and never reach
// the store: other token servers wait for ever for them, or crash.
func TestW11_W14_M02_NumbersThatCannotBe(t *testing.T) {
	for limit, want := range map[string]string{
		"rate: 1/4000ms, burst: 0":                    "burst",
		"rate: 1/0ms, burst: 4":                       "period",
		"rate: 1/-5ms, burst: 4":                      "period",
		"rate: many/s":                                "number",
		"rate: 1/s, burst: four":                      "burst",
		"rate: -1/s":                                  "number",
		"algorithm: sliding_window, rate: 5/0min":     "period",
		"algorithm: concurrency, slots: 0":            "slots",
		"algorithm: concurrency, slots: 2147483648.5": "slots",
	} {
		f := parse(newText("rules.yaml", []byte("domain: d\ndescriptors:\n  - key: k\n    limits:\n      - {"+limit+"}\n")))
		if !f.faults.Failed() || !strings.Contains(f.faults.Text(), want) || f.faults[0].Line != 5 || f.faults[0].Column < 10 {
			t.Errorf("%s: %s", limit, f.faults.Text())
		}
	}
}
