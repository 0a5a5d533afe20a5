package stage

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Screen writes what an example shows, with colours on a terminal alone.
type Screen struct {
	out     io.Writer
	colours bool
}

// NewScreen is a screen on out.
func NewScreen(out io.Writer) *Screen {
	s := &Screen{out: out}
	if f, ok := out.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		info, err := f.Stat()
		s.colours = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (s *Screen) in(colour, text string) string {
	if !s.colours {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// Line writes a line; a terminal that is gone is no reason to stop.
func (s *Screen) Line(text string) { _, _ = fmt.Fprintln(s.out, text) }

// Title begins a scene.
func (s *Screen) Title(text string) {
	s.Line("")
	s.Line(s.in(bold, text))
}

func (s *Screen) part(name, addr string) { s.Line(fmt.Sprintf("  %-9s %s", name, addr)) }

func (s *Screen) note(text string) { s.Line("            " + s.in(dim, text)) }

// Tally writes what became of the requests of one kind. tokens is what they
// took, and below 0 where the line is not about tokens.
func (s *Screen) Tally(what string, sent, passed, tokens int) {
	text := fmt.Sprintf("  %-24s %3d sent  %s  %s", what, sent,
		s.in(green, fmt.Sprintf("%3d passed", passed)), s.in(red, fmt.Sprintf("%3d refused", sent-passed)))
	if tokens >= 0 {
		text += fmt.Sprintf("  %3d tokens", tokens)
	}
	s.Line(text)
}

// Answer writes an answer whole.
func (s *Screen) Answer(a Answer) {
	colour := green
	if a.Status >= 400 {
		colour = red
	}
	s.Line("  " + s.in(colour, a.Proto))
	var lines []string
	for name, values := range a.Header {
		lines = append(lines, "  "+strings.ToLower(name)+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	s.Line(strings.Join(lines, "\n"))
	s.Line("")
	s.Line("  " + strings.TrimSpace(a.Body))
}
