package simulate

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"number": number3, "percent": share, "seconds": secondsText, "clock": func(t time.Time) string { return t.Format("2006-01-02 15:04:05") },
	"join": func(all []string) string { return strings.Join(all, "  ") }, "picture": newPicture, "sub": func(a, b int64) int64 { return a - b },
}).Parse(pageText))

// mostPictures bounds the limits that are drawn on a page, each of which takes 30 KB.
const mostPictures = 50

// Page is the report as a page of HTML that needs nothing else.
func (r *Report) Page(n Names) ([]byte, error) {
	var b bytes.Buffer
	view := struct {
		*Report
		Names Names
		Drawn []LimitReport
	}{Report: r, Names: n}
	for _, l := range r.Limits {
		if l.Course != nil && len(view.Drawn) < mostPictures {
			view.Drawn = append(view.Drawn, l)
		}
	}
	err := pageTemplate.Execute(&b, view)
	return b.Bytes(), err
}

// picture is a course as a drawing of bars, those refused on top of those admitted.
type picture struct {
	Title         string
	Width, Height int
	Most          string // of a second, at the top
	Bars          []bar
	From, To      string
	Rows          []pictureRow // the same as a table
}

// bar is one part of the time, in the picture's units.
type bar struct{ X, Width, AdmittedY, AdmittedHeight, RefusedY, RefusedHeight string }

type pictureRow struct {
	From              string
	Admitted, Refused string
}

const (
	pictureWidth, pictureHeight = 720, 160
	mostBars                    = 120
	mostRows                    = 24
)

func newPicture(title string, c *Course) *picture {
	p := &picture{Title: title, Width: pictureWidth, Height: pictureHeight, From: c.From.Format("15:04:05"), To: c.To.Format("15:04:05")}
	all := c.Columns(mostBars)
	most := 0.0
	for _, one := range all {
		most = max(most, one.Admitted+one.Refused)
	}
	p.Most = perSecond(most)
	scale := pictureHeight / max(most, 1e-9)
	width := float64(pictureWidth) / float64(len(all))
	unit := func(n float64) string { return fmt.Sprintf("%.1f", n) }
	for i, one := range all {
		admitted, refused := one.Admitted*scale, one.Refused*scale
		p.Bars = append(p.Bars, bar{
			unit(float64(i) * width), unit(max(width-0.5, 0.5)), unit(pictureHeight - admitted), unit(admitted), unit(pictureHeight - admitted - refused), unit(refused),
		})
	}
	for _, one := range c.Columns(mostRows) {
		p.Rows = append(p.Rows, pictureRow{one.From.Format("2006-01-02 15:04:05"), perSecond(one.Admitted), perSecond(one.Refused)})
	}
	return p
}

func perSecond(n float64) string {
	if n >= 100 || n == 0 {
		return fmt.Sprintf("%.0f/s", n)
	}
	return fmt.Sprintf("%.2f/s", n)
}

// number3 is a number with its thousands apart.
func number3(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func share(n, of int64) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

func secondsText(n float64) string {
	return time.Duration(n * 1e9).Round(time.Millisecond).String()
}
