package svg

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Axis is a scale of numbers.
type Axis struct {
	Lo, Hi float64
	Log    bool   // both ends are positive then
	Name   string // what is measured, with its unit
	Ticks  []Tick
}

// Tick is a labelled place.
type Tick struct {
	At    float64
	Label string
}

// at is where a value lies between the ends, as a part of 1. Values outside lie on the
// nearer end.
func (a *Axis) at(x float64) float64 {
	lo, hi := a.Lo, a.Hi
	if a.Log {
		if x <= 0 {
			return 0
		}
		x, lo, hi = math.Log10(x), math.Log10(lo), math.Log10(hi)
	}
	if !(hi > lo) {
		return 0.5
	}
	return within((x - lo) / (hi - lo))
}

// Linear is an axis that holds lo and hi, with about n ticks at 1, 2 or 5 times a power
// of ten, and ends at ticks. label writes a number given the decimals that tell ticks
// apart; nil: as it is.
func Linear(lo, hi float64, n int, label func(x float64, decimals int) string) Axis {
	if label == nil {
		label = func(x float64, decimals int) string { return strconv.FormatFloat(x, 'f', decimals, 64) }
	}
	if !finite(lo) || !finite(hi) {
		lo, hi = 0, 1
	}
	if lo > hi {
		lo, hi = hi, lo
	}
	if lo == hi {
		d := math.Abs(lo) / 10
		if d == 0 {
			d = 1
		}
		lo, hi = lo-d, hi+d
	}
	step := niceStep((hi - lo) / float64(max(n, 1)))
	first, last := math.Floor(lo/step+1e-9), math.Ceil(hi/step-1e-9)
	a := Axis{Lo: first * step, Hi: last * step}
	decimals := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	for i := first; i <= last && len(a.Ticks) < 100; i++ {
		a.Ticks = append(a.Ticks, Tick{i * step, label(i*step, decimals)})
	}
	return a
}

// niceStep is the least of 1, 2 and 5 times a power of ten that is at least x.
func niceStep(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, f := range []float64{1, 2, 5} {
		if f*unit >= x*(1-1e-9) {
			return f * unit
		}
	}
	return 10 * unit
}

// Decades is a logarithmic axis that holds lo and hi, ends at powers of ten, and has
// about n of them labelled.
func Decades(lo, hi float64, n int) Axis {
	if !(lo > 0) || !finite(lo) || !finite(hi) || hi < lo {
		lo, hi = 0.1, 1
	}
	first, last := int(math.Floor(math.Log10(lo)+1e-9)), int(math.Ceil(math.Log10(hi)-1e-9))
	last = max(last, first+1)
	a := Axis{Lo: math.Pow10(first), Hi: math.Pow10(last), Log: true}
	every := (last-first)/max(n, 1) + 1
	for e := last; e >= first; e-- {
		if (last-e)%every == 0 {
			a.Ticks = append(a.Ticks, Tick{math.Pow10(e), Power(e)})
		}
	}
	return a
}

// Power writes a power of ten as people do.
func Power(e int) string {
	switch {
	case e >= 0 && e <= 3:
		return strconv.Itoa(int(math.Pow10(e)))
	case e < 0 && e >= -2:
		return strconv.FormatFloat(math.Pow10(e), 'f', -e, 64)
	}
	return "10" + Superscript(e)
}

// Superscript writes a number raised.
func Superscript(n int) string {
	const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹"
	var b strings.Builder
	for _, c := range strconv.Itoa(n) {
		if c == '-' {
			b.WriteString("⁻")
			continue
		}
		b.WriteRune([]rune(digits)[c-'0'])
	}
	return b.String()
}

// Frame is what charts with two axes have in common.
type Frame struct {
	Title, Desc string
	Height      float64 // of the plot in pixels
	X, Y        Axis
	Left        float64 // pixels for the labels of Y; 0: 52
}

// draw makes the chart: the axes, then what body draws.
func (f *Frame) draw(body func(c *canvas, y func(float64) float64)) *canvas {
	c := &canvas{}
	left, top, bottom := f.Left, 8.0, 22.0
	if left == 0 {
		left = 52
	}
	if f.Y.Name != "" {
		top = 26
	}
	if f.X.Name != "" {
		bottom = 40
	}
	open(c, f.Title, f.Desc, f.Height, top, 14, bottom, left)
	y := func(v float64) float64 { return f.Height * (1 - f.Y.at(v)) }
	for _, t := range f.Y.Ticks {
		c.line("grid", 0, y(t.At), 1, y(t.At))
		c.text("", "end", 0, -7, y(t.At)+4, t.Label)
	}
	if f.Y.Name != "" {
		c.text("", "start", 0, -left, -14, f.Y.Name)
	}
	body(c, y)
	xAxis(c, &f.X, f.Height)
	c.WriteString("</svg>")
	return c
}

// xAxis draws an axis below a plot of a height.
func xAxis(c *canvas, a *Axis, height float64) {
	c.line("axis", 0, height, 1, height)
	for _, t := range a.Ticks {
		x := a.at(t.At)
		c.line("axis", x, height, x, height+4)
		c.text("", "middle", x, 0, height+17, t.Label)
	}
	if a.Name != "" {
		c.text("", "middle", 0.5, 0, height+34, a.Name)
	}
}

// open begins a chart with room around it, in pixels.
func open(c *canvas, title, desc string, height, top, right, bottom, left float64) {
	fmt.Fprintf(c, `<svg class="chart" role="img" style="width:calc(100%% - %spx);height:%spx;margin:%spx %spx %spx %spx"><title>%s</title>`,
		num(left+right), num(height), num(top), num(right), num(bottom), num(left), words(title))
	if desc != "" {
		fmt.Fprintf(c, "<desc>%s</desc>", words(desc))
	}
}
