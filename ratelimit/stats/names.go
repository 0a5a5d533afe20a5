package stats

import (
	"regexp"
	"strings"
)

// What names begin with, and the end of one that has no limit in it.
const (
	serviceScope = "ratelimit.service."
	limitScope   = serviceScope + "rate_limit."
	serverScope  = "ratelimit_server."
	notFound     = "domain_not_found"
)

var ipv4 = regexp.MustCompile(`(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})`)

// clean makes a name fit for every sink: ':' and '|' end a name in statsd's lines, a line
// break ends a line, and the dots of an IPv4 address would be levels.
func clean(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == ':' || r == '|' || r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	return ipv4.ReplaceAllString(name, "${1}_${2}_${3}_${4}")
}
