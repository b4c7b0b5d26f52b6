package svg

import "html/template"

// Bin is a bar from From to To along X.
type Bin struct {
	From, To, Value float64
	Title           string // what a pointer that rests on it shows
}

// Mark is a labelled line across a chart.
type Mark struct {
	At    float64
	Label string
	Limit bool // drawn as a limit
}

// Histogram draws bars over a scale.
type Histogram struct {
	Frame
	Bins  []Bin
	Marks []Mark // labels stand above the plot in up to three lines
}

// HTML draws h.
func (h *Histogram) HTML() template.HTML {
	return h.draw(func(c *canvas, y func(float64) float64) {
		for _, b := range h.Bins {
			if !finite(b.Value) || !finite(b.From) || !finite(b.To) || b.Value <= 0 {
				continue
			}
			from, to := h.X.at(b.From), h.X.at(b.To)
			top := min(y(b.Value), h.Height-1) // what is there is seen
			c.rect("fill bar", from, top, (to-from)*0.92, h.Height-top, b.Title)
		}
		for i, m := range h.Marks {
			if !finite(m.At) {
				continue
			}
			x, line := h.X.at(m.At), float64(i%3)
			class := "mark"
			if m.Limit {
				class = "limit"
			}
			c.line(class, x, 14*line+4, x, h.Height)
			anchor, dx := "start", 4.0
			if x > 0.8 {
				anchor, dx = "end", -4
			}
			c.text("label on", anchor, x, dx, 14*line+12, m.Label)
		}
	}).html()
}
