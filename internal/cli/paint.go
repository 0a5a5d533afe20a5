package cli

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// paint colours text for a terminal; the zero paint colours nothing.
type paint struct{ on bool }

const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paintFor colours if out is a terminal whose user has not said that he wants no
// colours (no-color.org).
func paintFor(out io.Writer, environ []string) paint {
	plain := slices.ContainsFunc(environ, func(e string) bool { return strings.HasPrefix(e, "NO_COLOR=") && e != "NO_COLOR=" })
	return paint{terminal(out) && !plain}
}

// in is text in a colour. It must be one line: pagers reset colours at its end.
func (p paint) in(colour, text string) string {
	if !p.on || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// shown is what somebody sent, as it may stand on a terminal.
func shown(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.ToValidUTF8(s, "") != s {
		return strconv.Quote(s)
	}
	return s
}
