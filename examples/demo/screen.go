package main

import (
	"fmt"
	"io"
	"os"
)

// screen writes the demo's screen, with colours on a terminal alone.
type screen struct {
	out     io.Writer
	colours bool
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
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

func (s *screen) in(colour, text string) string {
	if !s.colours {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// line writes a line; a terminal that is gone is no reason to stop.
func (s *screen) line(text string) { _, _ = fmt.Fprintln(s.out, text) }

func (s *screen) title(text string) {
	s.line("")
	s.line(s.in(bold, text))
}

func (s *screen) part(name, addr string) { s.line(fmt.Sprintf("  %-9s %s", name, addr)) }

func (s *screen) note(text string) { s.line("            " + s.in(dim, text)) }

// tally writes what became of the requests of one kind. tokens is what they
// took, and below 0 where the line is not about tokens.
func (s *screen) tally(what string, sent, passed, tokens int) {
	text := fmt.Sprintf("  %-24s %3d sent  %s  %s", what, sent,
		s.in(green, fmt.Sprintf("%3d passed", passed)), s.in(red, fmt.Sprintf("%3d refused", sent-passed)))
	if tokens >= 0 {
		text += fmt.Sprintf("  %3d tokens", tokens)
	}
	s.line(text)
}

func (s *screen) invitation(t *topology) {
	front := "http://" + t.envoys[0].Listener("front")
	s.title("Now you")
	s.line("  curl -i " + front + "/api/c")
	s.line("  curl -i -H 'x-user-group: vip' " + front + "/chat")
	s.line("  for i in $(seq 60); do curl -s -o /dev/null -w '%{http_code}\\n' " + front + "/api/c; done | sort | uniq -c")
	if len(t.envoys) > 1 {
		s.line("  curl -i http://" + t.envoys[1].Listener("front") + "/api/c   # the same bucket, through the other Envoy")
	}
	s.line("  curl -s http://" + t.weirs[0].HTTP + "/metrics | grep ^weir_")
	s.line("  edit " + t.rules + "/demo.yaml: a change is live within a second")
	s.line("")
	s.line("Running until Ctrl-C.")
}
