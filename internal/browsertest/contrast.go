package browsertest

import (
	_ "embed"
	"strconv"
)

//go:embed contrast.js
var contrastScript string

// Contrast are the texts that are too near in colour to what they stand on, by WCAG 2.2
// level AA: 4.5 to 1, or 3 to 1 for large ones.
func (p *Page) Contrast() []string {
	p.t.Helper()
	return Eval[[]string](p, contrastScript)
}

// Unnamed are the controls that no name tells to who cannot see them.
func (p *Page) Unnamed() []string {
	p.t.Helper()
	return Eval[[]string](p, `[...document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea")].filter((e) =>
		!(e.textContent.trim() && !e.matches("select, textarea")) && !e.labels?.length && !e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby")
	).map((e) => e.outerHTML.slice(0, 120))`)
}

func quoted(text string) string { return strconv.Quote(text) }
