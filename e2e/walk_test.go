package e2e

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/weir-rls/weir/internal/browsertest"
)

// step is something to do with the dashboard, or to see on it, as pages write it: open an
// address, follow a link (then another), write a value into a field (and another into
// another), press a button (twice), and what the page shows or lists then.
var step = regexp.MustCompile("(?i)open `([^`]+)`|(?:follow|then) \\*([^*]+)\\*|`([^`]+)` into \\*([^*]+)\\*|press \\*([^*]+)\\*( twice)?|(?:shows|lists) `([^`]+)`")

// mark gives what has a label the attribute by which the walk finds it: a link or a button by
// its text, a field by the label in front of it.
const mark = `((kind, label) => {
	const text = (e) => e.innerText.trim();
	document.querySelector("[data-walk]")?.removeAttribute("data-walk");
	const found = kind === "field"
		? [...document.querySelectorAll("label")].filter((l) => l.firstChild.textContent.trim() === label).map((l) => l.control)[0]
		: [...document.querySelectorAll(kind)].find((e) => e.checkVisibility() && text(e) === label);
	found?.setAttribute("data-walk", "");
	return document.readyState === "complete" && found;
})`

// walk does in a browser what a list of steps says, as it is written, and tells each step. The page
// is the one of the walk before, nil: none yet.
func (s *shell) walk(p *browsertest.Page, steps string, tell func(*browsertest.Page, string)) *browsertest.Page {
	s.Helper()
	done := step.FindAllStringSubmatch(steps, -1)
	if len(done) == 0 {
		s.Fatalf("there is nothing to do in\n%s", steps)
	}
	find := func(kind, label string) string {
		p.Await(kind+" "+label+" is there", mark+"("+literal(kind)+", "+literal(label)+")")
		return "[data-walk]"
	}
	for _, m := range done {
		open, follow, value, field, press, twice, shown := m[1], m[2], m[3], m[4], m[5], m[6], m[7]
		switch {
		case open != "":
			tell(p, "open "+open)
			if p == nil {
				p = browsertest.Start(s.T).Open(s.T, s.here(open), browsertest.Look{})
			} else {
				p.Go(s.here(open))
			}
		case follow != "":
			tell(p, "follow "+follow)
			before := browsertest.Eval[string](p, "location.href")
			p.Click(find("a", follow))
			p.Await("another page", "location.href !== "+literal(before)+` && document.readyState === "complete"`)
		case field != "":
			tell(p, "write "+value+" into "+field)
			p.Fill(find("field", field), value)
		case press != "":
			tell(p, "press "+press+twice)
			p.Click(find("button", press))
			if twice != "" {
				p.Click("[data-walk]")
			}
		case shown != "":
			p.Await("the page shows "+shown, `document.querySelector("main")?.innerText.includes(`+literal(shown)+`)`)
			tell(p, "see "+shown)
		}
	}
	return p
}

// literal is a text as JavaScript writes it.
func literal(text string) string {
	written, _ := json.Marshal(text) // a string always can be
	return string(written)
}

// section is what a page has from a heading to the next of its kind, empty without the heading.
func section(page, heading string) string {
	begin := strings.Index(page, "\n"+heading+"\n")
	if begin < 0 {
		return ""
	}
	rest := page[begin+1:]
	if end := strings.Index(rest[len(heading):], "\n## "); end >= 0 {
		return rest[:len(heading)+end+1]
	}
	return rest
}
