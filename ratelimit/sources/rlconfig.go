package sources

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/weir-rls/weir/descriptors"
)

// WriteRules writes rules as /rlconfig lists them, a line for each limit in the order of
// domains, files and rules, as for a rule d of the key k:
//
//	d.k: unit=MINUTE requests_per_unit=3, shadow_mode: false, quota_mode: false
//
// What is no rate_limit with a unit, being unlimited or in weir's own form, has the unit
// UNKNOWN. Nil rules are no lines. The error is w's.
func WriteRules(w io.Writer, rules *descriptors.Rules) error {
	if rules == nil {
		return nil
	}
	b := bufio.NewWriter(w)
	for _, l := range rules.Limits() {
		fmt.Fprintf(b, "%s: unit=%s requests_per_unit=%d, shadow_mode: %t, quota_mode: %t\n",
			line(l.Domain+"."+l.StatPath()), units[l.Unit], l.Requests, l.Shadow, l.Quota)
	}
	return b.Flush()
}

// line is text without what would end a line or do something to a terminal.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// units are those of the reference's form by their names in Envoy's API.
var units = [...]string{
	descriptors.UnknownUnit: "UNKNOWN", descriptors.Second: "SECOND", descriptors.Minute: "MINUTE", descriptors.Hour: "HOUR",
	descriptors.Day: "DAY", descriptors.Week: "WEEK", descriptors.Month: "MONTH", descriptors.Year: "YEAR",
}
