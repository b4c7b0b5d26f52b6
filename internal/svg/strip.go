package svg

import (
	"fmt"
	"html/template"
	"math"
	"slices"
)

// Strip shows how values are distributed, a row for each group: points where there are
// few, the outline of their density where there are many, with the median in both.
type Strip struct {
	Title, Desc string
	X           Axis
	Rows        []StripRow
	Marks       []Mark // down all rows
}

// StripRow is a group of values.
type StripRow struct {
	Label, Note string // above the row, left and right
	Values      []float64
	Failed      []Named   // of the values, those to be pointed at
	Limits      []float64 // marks of this row alone
}

// Named is a value and what a pointer that rests on it shows.
type Named struct {
	Value float64
	Title string
}

const (
	stripRow  = 48 // pixels a row, its label included
	stripBody = 26 // of which for points
	stripTop  = 18
	fewPoints = 64  // so many are drawn one by one
	stripBins = 120 // of a density
)

// HTML draws s.
func (s *Strip) HTML() template.HTML {
	c := &canvas{}
	height := float64(stripRow * len(s.Rows))
	bottom := 22.0
	if s.X.Name != "" {
		bottom = 40
	}
	open(c, s.Title, s.Desc, height, 20, 14, bottom, 14)
	for _, t := range s.X.Ticks {
		x := s.X.at(t.At)
		c.line("grid", x, 0, x, height)
	}
	for _, m := range s.Marks {
		x := s.X.at(m.At)
		class := "mark"
		if m.Limit {
			class = "limit"
		}
		// Down the bodies of rows alone: labels stand between them.
		c.line(class, x, -4, x, 0)
		for i := range s.Rows {
			c.line(class, x, float64(i*stripRow+stripTop), x, float64((i+1)*stripRow))
		}
		anchor := "middle"
		switch { // what hangs over an edge would be cut on a phone
		case x < 0.06:
			anchor = "start"
		case x > 0.94:
			anchor = "end"
		}
		c.text(class, anchor, x, 0, -8, m.Label)
	}
	for i := range s.Rows {
		s.row(c, &s.Rows[i], float64(i*stripRow))
	}
	xAxis(c, &s.X, height)
	c.WriteString("</svg>")
	return c.html()
}

func (s *Strip) row(c *canvas, r *StripRow, top float64) {
	c.text("label on", "start", 0, 0, top+13, r.Label)
	c.text("on", "end", 1, 0, top+13, r.Note)
	for _, l := range r.Limits {
		if x := s.X.at(l); finite(l) {
			c.line("limit", x, top+stripTop, x, top+stripRow)
		}
	}
	values := slices.DeleteFunc(slices.Clone(r.Values), func(x float64) bool { return !finite(x) })
	if len(values) == 0 {
		return
	}
	slices.Sort(values)
	middle := top + stripTop + stripBody/2
	if len(values) <= fewPoints {
		for i, v := range values {
			// Neighbours are set apart, so that equal values are seen as several.
			dy := float64(i*7%5-2) * 3.5
			fmt.Fprintf(c, `<circle class="faint" cx="%s" cy="%s" r="3"/>`, pct(s.X.at(v)), num(middle+dy))
		}
	} else {
		s.density(c, values, middle)
	}
	m := s.X.at(median(values))
	c.line("axis", m, middle-stripBody/2, m, middle+stripBody/2)
	for i, f := range r.Failed {
		if finite(f.Value) {
			dy := float64(i*7%5-2) * 3.5
			fmt.Fprintf(c, `<circle class="failed" cx="%s" cy="%s" r="4.5"><title>%s</title></circle>`, pct(s.X.at(f.Value)), num(middle+dy), words(f.Title))
		}
	}
}

// density draws bars that are as high as there are values.
func (s *Strip) density(c *canvas, sorted []float64, middle float64) {
	var bins [stripBins]int
	for _, v := range sorted {
		bins[min(int(s.X.at(v)*stripBins), stripBins-1)]++
	}
	most := slices.Max(bins[:])
	c.line("grid", s.X.at(sorted[0]), middle, s.X.at(sorted[len(sorted)-1]), middle)
	for i, n := range bins {
		if n > 0 {
			h := max(stripBody*float64(n)/float64(most), 3)
			c.rect("faint", float64(i)/stripBins, middle-h/2, 1.0/stripBins, h, "")
		}
	}
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Interval is a value with its uncertainty.
type Interval struct {
	Label, Note string // above the row, left and right
	Kind        Kind
	Value, Err  float64
}

// Intervals draws values with uncertainties below each other, on one scale.
type Intervals struct {
	Title, Desc string
	X           Axis
	Rows        []Interval
	Marks       []Mark
}

const (
	intervalRow = 36 // pixels a row
	intervalTop = 16 // of which for its label
)

// HTML draws v.
func (v *Intervals) HTML() template.HTML {
	c := &canvas{}
	height := float64(intervalRow * len(v.Rows))
	bottom := 22.0
	if v.X.Name != "" {
		bottom = 40
	}
	open(c, v.Title, v.Desc, height, 8, 22, bottom, 22)
	for _, t := range v.X.Ticks {
		x := v.X.at(t.At)
		c.line("grid", x, 0, x, height)
	}
	for _, m := range v.Marks {
		for i := range v.Rows {
			c.line("mark", v.X.at(m.At), float64(i*intervalRow+intervalTop), v.X.at(m.At), float64((i+1)*intervalRow))
		}
	}
	for i, r := range v.Rows {
		top := float64(i * intervalRow)
		c.text("label on", "start", 0, 0, top+13, r.Label)
		c.text("on", "end", 1, 0, top+13, r.Note)
		if !finite(r.Value) {
			continue
		}
		y, class := top+25, [...]string{"line", "line2", "line"}[r.Kind]
		if e := r.Err; finite(e) && e > 0 {
			from, to := v.X.at(r.Value-e), v.X.at(r.Value+e)
			c.line(class, from, y, to, y)
			c.line("axis", from, y-4, from, y+4)
			c.line("axis", to, y-4, to, y+4)
		}
		c.marker(r.Kind, v.X.at(r.Value), y, 3.5, "")
	}
	xAxis(c, &v.X, height)
	c.WriteString("</svg>")
	return c.html()
}

// Span is the least and the largest finite value, and false when there is none.
func Span(values []float64) (lo, hi float64, ok bool) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if finite(v) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	return lo, hi, lo <= hi
}
