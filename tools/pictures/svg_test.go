package pictures

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The measures of a picture, in CSS pixels.
const (
	width, left, right = 760.0, 64.0, 20.0
	header, gap, foot  = 64.0, 46.0, 58.0
)

// Colours by class, for light pages and dark ones. Each is told apart from the background by
// a contrast of at least 3:1, what is pale by its outline, and text by 4.5:1.
const style = `<style>
svg{font-family:-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;font-size:12px}
.bg{fill:#fff}.ink{fill:#1f2328}.soft{fill:#59636e}.head{font-size:16px;font-weight:600}.name{font-weight:600}
.grid{stroke:#d1d9e0;stroke-width:1}.axis{stroke:#59636e;stroke-width:1}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.span{stroke-width:5;stroke-linecap:round}.cross{fill:none;stroke-width:2}
.a{fill:#0969da}.b{fill:#bc4c00}.c{fill:#1a7f37}.no{fill:#cf222e}.lim{fill:#59636e}
rect.s{stroke-width:0}rect.pale{stroke-width:1}.a.s{stroke:#0969da}.b.s{stroke:#bc4c00}.c.s{stroke:#1a7f37}.no.s{stroke:#cf222e}.lim.s{stroke:#59636e;stroke-dasharray:6 4}
.pale{fill-opacity:.3}.shade{fill:#59636e;fill-opacity:.13}
@media (prefers-color-scheme:dark){
.bg{fill:#0d1117}.ink{fill:#f0f6fc}.soft{fill:#9198a1}.grid{stroke:#3d444d}.axis{stroke:#9198a1}
.a{fill:#4493f8}.b{fill:#f0883e}.c{fill:#3fb950}.no{fill:#f85149}.lim{fill:#9198a1}
.a.s{stroke:#4493f8}.b.s{stroke:#f0883e}.c.s{stroke:#3fb950}.no.s{stroke:#f85149}.lim.s{stroke:#9198a1}
.shade{fill:#9198a1;fill-opacity:.16}}
.line.s,.cross.s{fill:none}
</style>
`

// kind is how a series is drawn.
type kind int

const (
	lines   kind = iota // from point to point
	bars                // a bar from x to the next, stacked on the series before
	spans               // a bar at height y from x to to
	crosses             // a cross at each point
)

type point struct{ x, y, to float64 }

// series is one thing that is shown; class is its colour.
type series struct {
	name, class string
	kind        kind
	points      []point
}

// panel is one diagram of a picture: its name, the unit of its y axis and what is in it.
type panel struct {
	name, unit string
	low, high  float64
	step       float64 // between two ticks of the y axis, 0: none are written
	height     float64
	series     []series
}

// picture is diagrams over one time axis, in seconds.
type picture struct {
	file, title, load string
	desc              string // what it shows, for who does not see it
	from, to, tick    float64
	shade             [2]float64 // a time that is marked, from and to
	shaded            string     // what that time is
	low               bool       // it is written at the bottom of every panel, not at the top of the first
	panels            []panel
	within            float64 // how many pixels a line may be off: when Redis is asked again is left to chance
}

// drawing is an SVG that is being written.
type drawing struct {
	strings.Builder
	p      *picture
	top    float64 // of the panel
	pan    *panel
	stacks map[float64]float64
}

func (d *drawing) put(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

// text is escaped, at x and y, with the classes given.
func (d *drawing) text(x, y float64, class, anchor, text string) {
	d.put(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`, x, y, class, anchor, html.EscapeString(text))
}

func (d *drawing) x(seconds float64) float64 {
	return left + (seconds-d.p.from)/(d.p.to-d.p.from)*(width-left-right)
}

func (d *drawing) y(value float64) float64 {
	return d.top + d.pan.height*(1-(value-d.pan.low)/(d.pan.high-d.pan.low))
}

// svg is the picture as a file.
func (p *picture) svg() string {
	height := header + foot - gap
	for _, pan := range p.panels {
		height += pan.height + gap
	}
	d := &drawing{p: p, top: header}
	d.put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-labelledby="t d">`, width, height, width, height)
	d.put(`<title id="t">%s</title>`, html.EscapeString(p.title))
	d.put(`<desc id="d">%s</desc>`, html.EscapeString(p.desc))
	d.WriteString(style)
	d.put(`<rect class="bg" width="100%%" height="100%%"/>`)
	d.text(left-44, 24, "ink head", "start", p.title)
	d.text(left-44, 42, "soft", "start", p.load)
	for i := range p.panels {
		d.pan, d.stacks = &p.panels[i], map[float64]float64{}
		d.top += 14
		d.panel(i == 0, i == len(p.panels)-1)
		d.top += d.pan.height + gap - 14
	}
	d.put("</svg>")
	return d.String()
}

func (d *drawing) panel(first, last bool) {
	p, bottom := d.pan, d.top+d.pan.height
	d.text(left-44, d.top-10, "ink name", "start", p.name)
	d.legend()
	if d.p.shade[1] > 0 {
		d.put(`<rect class="shade" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, d.x(d.p.shade[0]), d.top, d.x(d.p.shade[1])-d.x(d.p.shade[0]), p.height)
	}
	for v := p.low; p.step > 0 && v <= p.high+1e-9; v += p.step {
		d.put(`<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, left, d.y(v), width-right, d.y(v))
		d.text(left-6, d.y(v)+4, "soft", "end", number(v))
	}
	for _, s := range p.series {
		d.series(s)
	}
	if at := map[bool]float64{true: bottom - 6, false: d.top + 14}[d.p.low]; d.p.shaded != "" && (first || d.p.low) {
		d.text((d.x(d.p.shade[0])+d.x(d.p.shade[1]))/2, at, "soft", "middle", d.p.shaded)
	}
	d.put(`<line class="axis" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, left, bottom, width-right, bottom)
	d.put(`<text transform="translate(%.1f %.1f) rotate(-90)" class="soft" text-anchor="middle">%s</text>`, left-46, d.top+p.height/2, html.EscapeString(p.unit))
	for v := d.p.from; v <= d.p.to+1e-9; v += d.p.tick {
		d.put(`<line class="axis" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, d.x(v), bottom, d.x(v), bottom+4)
		d.text(d.x(v), bottom+17, "soft", "middle", number(v))
	}
	if last {
		d.text(left+(width-left-right)/2, bottom+36, "soft", "middle", "time, seconds")
	}
}

// legend names the series, at the right above the panel.
func (d *drawing) legend() {
	x := width - right
	for i := len(d.pan.series) - 1; i >= 0; i-- {
		s := d.pan.series[i]
		if s.name == "" {
			continue
		}
		d.text(x, d.top-10, "ink", "end", s.name)
		x -= 5.8*float64(len([]rune(s.name))) + 9
		switch s.kind {
		case bars:
			d.put(`<rect class="s %s" x="%.1f" y="%.1f" width="10" height="10"/>`, s.class, x-10, d.top-19)
			x -= 26
		case crosses:
			d.cross(s.class, x-6, d.top-14)
			x -= 26
		default:
			d.put(`<line class="line s %s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, s.class, x-22, d.top-14, x, d.top-14)
			x -= 36
		}
	}
}

func (d *drawing) series(s series) {
	switch s.kind {
	case lines:
		var path strings.Builder
		for i, p := range s.points {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], d.x(p.x), d.y(p.y))
		}
		d.put(`<path class="line s %s" d="%s"/>`, s.class, path.String())
	case bars:
		for _, p := range s.points {
			if p.y == 0 {
				continue
			}
			base := d.stacks[p.x]
			d.stacks[p.x] = base + p.y
			d.put(`<rect class="s %s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, s.class, d.x(p.x)+.5, d.y(base+p.y), math.Max(d.x(p.to)-d.x(p.x)-1, 1), d.y(base)-d.y(base+p.y))
		}
	case spans:
		for _, p := range s.points {
			d.put(`<line class="span s %s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, s.class, d.x(p.x), d.y(p.y), math.Max(d.x(p.to), d.x(p.x)+.1), d.y(p.y))
		}
	case crosses:
		for _, p := range s.points {
			d.cross(s.class, d.x(p.x), d.y(p.y))
		}
	}
}

func (d *drawing) cross(class string, x, y float64) {
	d.put(`<path class="cross s %s" d="M%.1f %.1fl7 7m0 -7l-7 7"/>`, class, x-3.5, y-3.5)
}

func number(v float64) string {
	return strings.Replace(fmt.Sprint(math.Round(v*10)/10), "-", "−", 1)
}
