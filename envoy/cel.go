package envoy

import (
	"regexp"
	"strings"
)

var (
	unsupported = regexp.MustCompile(`\bstring\s*\(|\.split\s*\(|\.lowerAscii\s*\(`)
	texts       = regexp.MustCompile(`'(\\.|[^'\\])*'|"(\\.|[^"\\])*"`)
	// joins is a + beside a text, once texts are written as ' and what they stand in
	// brackets as '.
	joins = regexp.MustCompile(`'\s*\+|\+\s*'|request\.(headers\['\]|path|url_path|host|method|scheme|id|useragent|referer|protocol|query)\s*\+|\+\s*request\.(headers\['\]|path|url_path|host|method|scheme|id|useragent|referer|protocol|query)\b`)
)

// expression judges the CEL of a descriptor.
func (c *checker) expression(at value) {
	bare := texts.ReplaceAllString(at.text(), "'")
	if joins.MatchString(bare) {
		c.tell(at, "cel-string-plus", "send each part as an action of its own", "texts joined with + yield nothing in Envoy's CEL: the descriptor is left out, and Envoy says nothing of it")
	}
	if call := unsupported.FindString(bare); call != "" {
		c.tell(at, "cel-unsupported", "compare, match or use re.extract", "Envoy's CEL has no %s), and refuses the configuration", strings.TrimPrefix(call, "."))
	}
}
