package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/weir-rls/weir/internal/simulate"
)

// chart draws what was admitted and refused over time, both on one scale: so that no
// colour is needed to tell them apart, one above the other.
type chart struct {
	course   *simulate.Course
	requests int64
	paint    paint
	width    int // in columns
	height   int // of each picture, in rows
}

var blocks = [...]string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}

// label is the width of what stands to the left of the pictures.
const label = 10

func (c *chart) text() string {
	// Columns of a request each would show when it came, and no rate.
	all := c.course.Columns(int(min(int64(c.width-label-1), max(10, c.requests/3))))
	most := 0.0
	for _, one := range all {
		most = max(most, one.Admitted, one.Refused)
	}
	var b strings.Builder
	c.bars(&b, "admitted", green, most, all, func(o simulate.Column) float64 { return o.Admitted })
	c.bars(&b, "refused", red, most, all, func(o simulate.Column) float64 { return o.Refused })
	c.times(&b, c.width-label-1)
	return b.String()
}

// bars draws one picture.
func (c *chart) bars(b *strings.Builder, name, colour string, most float64, all []simulate.Column, of func(simulate.Column) float64) {
	for row := c.height - 1; row >= 0; row-- {
		left := ""
		switch row {
		case c.height - 1:
			left = rateText(most)
		case 0:
			left = name
		}
		var line strings.Builder
		width := c.width - label - 1
		for x := range width { // each part at least once
			one := of(all[x*len(all)/width])
			eighths := 0
			if most > 0 {
				eighths = int(one/most*float64(c.height*8)+0.5) - row*8
			}
			if row == 0 && one > 0 {
				eighths = max(eighths, 1) // whoever looks for refusals finds each
			}
			line.WriteString(blocks[min(max(eighths, 0), 8)])
		}
		fmt.Fprintf(b, "%*s │%s\n", label-1, left, c.paint.in(colour, strings.TrimRight(line.String(), " ")))
	}
}

// times is the axis below.
func (c *chart) times(b *strings.Builder, width int) {
	fmt.Fprintf(b, "%*s └%s\n", label-1, "", strings.Repeat("─", width))
	length := c.course.To.Sub(c.course.From)
	layout := clockLayout(length)
	first, middle, last := c.course.From.Format(layout), c.course.From.Add(length/2).Format(layout), c.course.To.Format(layout)
	gap := width - len(first) - len(last)
	if gap > len(middle)+4 {
		fmt.Fprintf(b, "%*s  %s%s%s%s%s\n", label-1, "", first, strings.Repeat(" ", (gap-len(middle))/2), middle, strings.Repeat(" ", gap-len(middle)-(gap-len(middle))/2), last)
		return
	}
	fmt.Fprintf(b, "%*s  %s to %s\n", label-1, "", first, last)
}

// clockLayout is how a time is written on an axis of a length.
func clockLayout(length time.Duration) string {
	switch {
	case length < 20*time.Second:
		return "15:04:05.000"
	case length < 48*time.Hour:
		return "15:04:05"
	}
	if length < 300*24*time.Hour {
		return "Jan 2 15:04"
	}
	return "2006-01-02"
}

func rateText(perSecond float64) string {
	switch {
	case perSecond == 0:
		return ""
	case perSecond >= 10:
		return grouped(int64(perSecond+0.5)) + "/s"
	case perSecond >= 0.1:
		return fmt.Sprintf("%.1f/s", perSecond)
	case perSecond >= 0.1/3600:
		return fmt.Sprintf("%.1f/h", perSecond*3600)
	}
	return fmt.Sprintf("%.2g/day", perSecond*86400)
}

// spark draws refusals in one row.
func spark(c *simulate.Course, parts int) string {
	all, most := c.Columns(parts), 0.0
	for _, one := range all {
		most = max(most, one.Refused)
	}
	var b strings.Builder
	for _, one := range all {
		eighths := 0
		if one.Refused > 0 {
			eighths = max(1, int(one.Refused/most*8+0.5))
		}
		b.WriteString(blocks[min(eighths, 8)])
	}
	return strings.TrimRight(b.String(), " ")
}

// grouped is a number with its thousands apart.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
