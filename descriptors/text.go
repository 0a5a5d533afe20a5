package descriptors

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// text is a rule file's content, kept to show the lines that faults are in.
type text struct {
	file    string
	content []byte
	dialect Dialect
	starts  []int // offset of each line

	path func(line, column int) string // of what no reader ever sees as lines, nil for files; see Given
}

// place is a position in a file: line and column counted from 1, the column in
// characters; line 0 is the file as a whole.
type place struct {
	text         *text
	line, column int32
}

// String is the place as other messages name it.
func (p place) String() string {
	if p.text.path != nil {
		return printable(p.text.file, maxShown) + ": " + p.path()
	}
	return fmt.Sprintf("%s:%d:%d", printable(p.text.file, maxShown), p.line, p.column)
}

func newText(file string, content []byte) *text {
	return &text{file: file, content: content}
}

// fault makes a fault at a place.
func (p place) fault(s Severity, message, remedy string) Fault {
	f := Fault{File: printable(p.text.file, maxShown), Severity: s, Message: message, Remedy: remedy}
	if p.line > 0 && p.text.path != nil {
		f.Path = p.path()
	} else if p.line > 0 {
		f.Line, f.Column = min(int(p.line), p.text.lines()), max(int(p.column), 1)
		line := p.text.lineAt(f.Line)
		if f.Line < int(p.line) || len(line) < f.Column {
			// The YAML library places the end of a file on a line of its own.
			f.Column = utf8.RuneCount(line) + 1
		}
		f.Excerpt, f.Caret = excerpt(line, f.Column)
	}
	return f
}

// seen is the line where a reader finds the place, 0 where there are none to see.
func (p place) seen() int {
	if p.text.path != nil {
		return 0
	}
	return int(p.line)
}

// path is the place where it is told by names and not by lines: its end, where it is
// long.
func (p place) path() string {
	whole := p.text.path(min(int(p.line), p.text.lines()), int(p.column))
	shown := printable(whole, len(whole))
	if runes := []rune(shown); len(runes) > maxPath {
		return "…" + string(runes[len(runes)-maxPath:])
	}
	return shown
}

// lines is the number of lines, of which one that ends the file with a line
// break is followed by an empty one.
func (t *text) lines() int {
	if t.starts == nil {
		t.starts = append(lineStarts(t.content), len(t.content))
	}
	return len(t.starts) - 1
}

// lineAt is the content of one of the lines, without its line break.
func (t *text) lineAt(line int) []byte {
	t.lines()
	return bytes.TrimRight(t.content[t.starts[line-1]:t.starts[line]], "\r\n\u0085\u2028\u2029")
}

func lineStarts(content []byte) []int {
	starts := []int{0}
	for i := 0; i < len(content); {
		n := breakLength(content[i:])
		i += max(n, 1)
		if n > 0 {
			starts = append(starts, i)
		}
	}
	return starts
}

// breakLength is the length of the line break that b begins with, or 0. YAML
// 1.1 counts NEL, LS and PS as well, and the places of nodes follow it.
func breakLength(b []byte) int {
	switch b[0] {
	case '\n':
		return 1
	case '\r':
		if len(b) > 1 && b[1] == '\n' {
			return 2
		}
		return 1
	case 0xC2:
		if len(b) > 1 && b[1] == 0x85 {
			return 2
		}
	case 0xE2:
		if len(b) > 2 && b[1] == 0x80 && (b[2] == 0xA8 || b[2] == 0xA9) {
			return 3
		}
	}
	return 0
}

const (
	tabCells     = 4
	maxShown     = 200 // characters of a file name or a value in a message
	maxPath      = 400 // characters of a path in a message
	excerptCells = 120 // of a long line, about half of them before the caret

	// longestLine is what is still searched for a column, so that a thousand
	// faults in a line of many megabytes cost no minute.
	longestLine = 64 << 10
)

// excerpt is what to show of a line, and how many terminal cells of it stand
// before the character at column.
func excerpt(line []byte, column int) (shown string, caret int) {
	if len(line) > longestLine {
		return fmt.Sprintf("(a line of %d bytes)", len(line)), 0
	}
	before, after := line, []byte(nil)
	for i, n := 0, 1; i < len(line); n++ {
		if n == column {
			before, after = line[:i], line[i:]
			break
		}
		_, size := utf8.DecodeRune(line[i:])
		i += size
	}
	_, needed := head(after, excerptCells/2)
	left, caret := tail(before, excerptCells-needed)
	right, _ := head(after, excerptCells-caret)
	return strings.TrimRight(left+right, " "), caret
}

// head is the beginning of b in at most limit cells, and its width.
func head(b []byte, limit int) (shown string, width int) {
	for len(b) > 0 {
		s, w, size := cell(b)
		if width+w > limit {
			return shown + "…", width + 1
		}
		shown, width, b = shown+s, width+w, b[size:]
	}
	return shown, width
}

// tail is the end of b in at most limit cells, and its width.
func tail(b []byte, limit int) (shown string, width int) {
	for len(b) > 0 {
		_, size := utf8.DecodeLastRune(b)
		s, w, _ := cell(b[len(b)-size:])
		if width+w > limit {
			return "…" + shown, width + 1
		}
		shown, width, b = s+shown, width+w, b[:len(b)-size]
	}
	return shown, width
}

// cell is how the first character of b is shown, how many terminal cells that
// takes, and how many bytes of b it stands for.
func cell(b []byte) (shown string, width, size int) {
	r, size := utf8.DecodeRune(b)
	switch {
	case r == '\t':
		return strings.Repeat(" ", tabCells), tabCells, size
	case r == utf8.RuneError && size == 1:
		return `\x` + strconv.FormatUint(uint64(b[0])|0x100, 16)[1:], 4, size
	case r == 0xFEFF || !unicode.IsPrint(r):
		quoted := strconv.QuoteRuneToASCII(r)
		return quoted[1 : len(quoted)-1], len(quoted) - 2, size
	case unicode.In(r, unicode.Mn, unicode.Me):
		return string(r), 0, size
	case wide(r):
		return string(r), 2, size
	}
	return string(r), 1, size
}

// wide tells of the characters that terminals draw two cells wide: East Asian
// scripts and pictographs.
func wide(r rune) bool {
	return r >= 0x1100 && (r <= 0x115F || r >= 0x2E80 && r <= 0xA4CF && r != 0x303F || r >= 0xAC00 && r <= 0xD7A3 ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0xFE30 && r <= 0xFE6F || r >= 0xFF00 && r <= 0xFF60 || r >= 0xFFE0 && r <= 0xFFE6 ||
		r >= 0x1F300 && r <= 0x1F64F || r >= 0x1F680 && r <= 0x1F6FF || r >= 0x1F900 && r <= 0x1F9FF || r >= 0x20000 && r <= 0x3FFFD)
}

// printable is s without control characters and cut after limit characters.
func printable(s string, limit int) string {
	var b strings.Builder
	for n, rest := 0, []byte(s[:min(len(s), 4*limit)]); len(rest) > 0; n++ {
		if n == limit {
			b.WriteString("…")
			break
		}
		shown, _, size := cell(rest)
		if rest[0] == '\t' {
			shown = `\t`
		}
		b.WriteString(shown)
		rest = rest[size:]
	}
	return b.String()
}

// quote is what a file says, for a message: escaped, in quotes, and cut.
func quote(s string) string {
	const limit = 60
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit]) + "…"
	}
	return strconv.Quote(s)
}
