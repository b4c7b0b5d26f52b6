package svg

import (
	"fmt"
	"html/template"
)

// Bars are small bars for a cell of a table, below each other. They are decoration of
// numbers that stand beside them, and hidden from those who read by ear.
type Bars struct {
	Bars  []Bar
	Limit float64 // where to draw a limit, as a part of the width; 0: nowhere
}

// Bar is one of them.
type Bar struct {
	Length float64 // as a part of the width; what is more than 1 is cut
	Kind   Kind
	Bad    bool
	Rail   bool // shows the whole width
}

// HTML draws b.
func (b *Bars) HTML() template.HTML {
	const thick, gap = 7, 3
	height := float64(len(b.Bars)*(thick+gap) + gap)
	c := &canvas{}
	fmt.Fprintf(c, `<svg class="bars" width="100%%" height="%s" aria-hidden="true">`, num(height))
	for i, bar := range b.Bars {
		y := float64(gap + i*(thick+gap))
		if bar.Rail {
			c.rect("track", 0, y+thick/2, 1, 1, "")
		}
		if !(bar.Length > 0) {
			continue
		}
		class := "fill"
		switch {
		case bar.Bad:
			class = "bad"
		case bar.Kind == Hollow:
			class = "other"
		}
		c.rect(class, 0, y, max(within(bar.Length), 0.005), thick, "")
	}
	if b.Limit > 0 {
		c.line("edge", within(b.Limit), 0, within(b.Limit), height)
	}
	c.WriteString("</svg>")
	return c.html()
}
