package cli

import (
	"io"
	"slices"
	"strconv"
	"strings"
)

// narrow is the width of what is no terminal, and of one that does not tell its own.
const narrow = 80

// widthOf is how many columns a report may take: those of the terminal that out is, or
// what COLUMNS says.
func widthOf(out io.Writer, environ []string) int {
	width := narrow
	if terminal(out) {
		if told := terminalWidth(out); told > 0 {
			width = told
		}
		at := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, "COLUMNS=") })
		if at >= 0 {
			if n, err := strconv.Atoi(strings.TrimPrefix(environ[at], "COLUMNS=")); err == nil && n > 0 {
				width = n
			}
		}
	}
	return min(max(width, 40), 200)
}
