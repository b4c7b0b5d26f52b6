package svg

import (
	"fmt"
	"html/template"
)

// Kind is the look of a series, in shape and colour.
type Kind int

// The kinds of series.
const (
	Solid  Kind = iota // filled circles, a line: what a report is about
	Hollow             // hollow squares, a dashed line: what it is compared with
	Failed             // larger points in the colour of failure, never joined
)

// Point is a value, with its uncertainty where there is one.
type Point struct {
	X, Y, Err float64
	Title     string
}

// Series is a row of points.
type Series struct {
	Kind   Kind
	Join   bool // by lines, across neighbours that are both there
	Points []Point
}

// Lines draws series over a scale.
type Lines struct {
	Frame
	Series []Series
	Marks  []Mark // across, at heights
}

// HTML draws l.
func (l *Lines) HTML() template.HTML {
	return l.draw(func(c *canvas, y func(float64) float64) {
		for _, m := range l.Marks {
			if finite(m.At) {
				c.line("limit", 0, y(m.At), 1, y(m.At))
				c.text("limit on", "end", 1, 0, y(m.At)-6, m.Label)
			}
		}
		for _, s := range l.Series {
			l.series(c, &s, y)
		}
	}).html()
}

func (l *Lines) series(c *canvas, s *Series, y func(float64) float64) {
	class := [...]string{"line", "line2", "line"}[s.Kind]
	ok := func(p *Point) bool { return finite(p.X) && finite(p.Y) }
	if s.Join {
		for i := 1; i < len(s.Points); i++ {
			if p, q := &s.Points[i-1], &s.Points[i]; ok(p) && ok(q) {
				c.line(class, l.X.at(p.X), y(p.Y), l.X.at(q.X), y(q.Y))
			}
		}
	}
	for i := range s.Points {
		p := &s.Points[i]
		if !ok(p) {
			continue
		}
		x := l.X.at(p.X)
		if finite(p.Err) && p.Err > 0 {
			c.line("axis", x, y(p.Y-p.Err), x, y(p.Y+p.Err))
		}
		size := 3.0
		if len(s.Points) > 80 {
			size = 1.5
		}
		c.marker(s.Kind, x, y(p.Y), size, p.Title)
	}
}

// marker draws the point of a series.
func (c *canvas) marker(k Kind, x, y, size float64, title string) {
	if title != "" {
		title = "<title>" + words(title) + "</title>"
	}
	if k == Hollow {
		fmt.Fprintf(c, `<rect class="hollow" x="%s" y="%s" width="%s" height="%s" transform="translate(%s 0)">%s</rect>`,
			pct(x), num(y-size), num(2*size), num(2*size), num(-size), title)
		return
	}
	if k == Failed {
		fmt.Fprintf(c, `<circle class="failed" cx="%s" cy="%s" r="%s">%s</circle>`, pct(x), num(y), num(size+2), title)
		return
	}
	fmt.Fprintf(c, `<circle class="fill" cx="%s" cy="%s" r="%s">%s</circle>`, pct(x), num(y), num(size), title)
}

// Key is the sign of a kind of series, for a legend. The text beside it says what it is.
func Key(k Kind) template.HTML {
	c := &canvas{}
	fmt.Fprintf(c, `<svg class="key" width="26" height="10" aria-hidden="true"><line class="%s" x1="0" y1="5" x2="26" y2="5"/>`, [...]string{"line", "line2", "none"}[k])
	c.marker(k, 0.5, 5, 3, "")
	c.WriteString("</svg>")
	return c.html()
}
