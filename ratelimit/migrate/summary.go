package migrate

import (
	"fmt"
	"strings"
)

// Summary is what is otherwise under weir serve, for a person; empty if there are no rules.
func (r Result) Summary() string {
	if len(r.Files) == 0 {
		return ""
	}
	sources := 0
	for _, f := range r.Files {
		sources += len(f.Sources)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s in %s, for weir serve:\n", count(r.Limits, "limit"), count(sources, "file"), count(len(r.Files), "domain"))
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "  %d: %s\n", c.Count, c.Text)
	}
	b.WriteString("  all: what is refused is charged to no limit of its request, where it was to each of them\n")
	b.WriteString("  all: a request of 0 hits asks whether 1 would pass, where it passed at the limit itself\n")
	return b.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
