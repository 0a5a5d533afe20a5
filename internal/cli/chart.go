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
	course *simulate.Course
	paint  paint
	width  int // in columns
	height int // of each picture, in rows
}

var blocks = [...]string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}

// label is the width of what stands to the left of the pictures.
const label = 10

// column is a part of the time that is drawn.
type column struct{ admitted, refused float64 } // a second

// columnsOf makes parts of a course so long that they fit into a width.
func columnsOf(c *simulate.Course, width int) (all []column, length float64) {
	each := (len(c.Admitted) + width - 1) / width
	length = c.PartSeconds * float64(each)
	for i := 0; i < len(c.Admitted); i += each {
		var one column
		for k := i; k < min(i+each, len(c.Admitted)); k++ {
			one.admitted, one.refused = one.admitted+float64(c.Admitted[k])/length, one.refused+float64(c.Refused[k])/length
		}
		all = append(all, one)
	}
	return all, length
}

func (c *chart) text() string {
	all, length := columnsOf(c.course, c.width-label-1)
	stretch := max(1, (c.width-label-1)/len(all))
	most := 0.0
	for _, one := range all {
		most = max(most, one.admitted, one.refused)
	}
	var b strings.Builder
	c.bars(&b, "admitted", green, most, stretch, all, func(o column) float64 { return o.admitted })
	c.bars(&b, "refused", red, most, stretch, all, func(o column) float64 { return o.refused })
	c.times(&b, stretch*len(all), length*float64(len(all)))
	return b.String()
}

// bars draws one picture.
func (c *chart) bars(b *strings.Builder, name, colour string, most float64, stretch int, all []column, of func(column) float64) {
	for row := c.height - 1; row >= 0; row-- {
		left := ""
		switch row {
		case c.height - 1:
			left = rateText(most)
		case 0:
			left = name
		}
		var line strings.Builder
		for _, one := range all {
			eighths := 0
			if most > 0 {
				eighths = int(of(one)/most*float64(c.height*8)+0.5) - row*8
				if row == 0 && of(one) > 0 {
					eighths = max(eighths, 1) // whoever looks for refusals finds each
				}
			}
			line.WriteString(strings.Repeat(blocks[min(max(eighths, 0), 8)], stretch))
		}
		fmt.Fprintf(b, "%*s │%s\n", label-1, left, c.paint.in(colour, strings.TrimRight(line.String(), " ")))
	}
}

// times is the axis below.
func (c *chart) times(b *strings.Builder, width int, seconds float64) {
	fmt.Fprintf(b, "%*s └%s\n", label-1, "", strings.Repeat("─", width))
	layout := clockLayout(seconds)
	end := c.course.From.Add(time.Duration(seconds * 1e9))
	first, last := c.course.From.Format(layout), end.Format(layout)
	middle := c.course.From.Add(time.Duration(seconds * 5e8)).Format(layout)
	gap := width - len(first) - len(last)
	if gap > len(middle)+4 {
		fmt.Fprintf(b, "%*s  %s%s%s%s%s\n", label-1, "", first, strings.Repeat(" ", (gap-len(middle))/2), middle, strings.Repeat(" ", gap-len(middle)-(gap-len(middle))/2), last)
		return
	}
	fmt.Fprintf(b, "%*s  %s to %s\n", label-1, "", first, last)
}

// clockLayout is how a time is written on an axis of a length.
func clockLayout(seconds float64) string {
	switch {
	case seconds < 20:
		return "15:04:05.000"
	case seconds < 2*24*3600:
		return "15:04:05"
	}
	return "Jan 2 15:04"
}

func rateText(perSecond float64) string {
	switch {
	case perSecond == 0:
		return ""
	case perSecond >= 10:
		return grouped(int64(perSecond+0.5)) + "/s"
	case perSecond >= 0.1:
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return fmt.Sprintf("%.1f/h", perSecond*3600)
}

// spark draws refusals in one row.
func spark(c *simulate.Course, parts int, most float64) string {
	var b strings.Builder
	all, _ := columnsOf(c, parts)
	for _, one := range all {
		eighths := 0
		if most > 0 && one.refused > 0 {
			eighths = max(1, int(one.refused/most*8+0.5))
		}
		b.WriteString(blocks[min(eighths, 8)])
	}
	return b.String()
}

// grouped is a number with its thousands apart.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
