package svg

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Style is what a page has to have in its style sheet.
const Style = `svg.chart{display:block;overflow:visible;font-size:11px;font-variant-numeric:tabular-nums}
svg.chart text{fill:var(--muted)}
svg.chart text.label{fill:var(--ink)}
svg.chart text.on{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
svg .grid{stroke:var(--rule);stroke-width:1}
svg .axis{stroke:var(--muted);stroke-width:1}
svg .mark{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 3}
svg .limit{stroke:var(--bad);stroke-width:1.5}
svg .edge{stroke:var(--ink);stroke-width:1.5}
svg text.limit,svg.chart text.limit{fill:var(--bad);stroke:none}
svg.chart text.limit.on{stroke:var(--paper);stroke-width:3px}
svg .fill{fill:var(--accent)}
svg .bad{fill:var(--bad)}
svg .failed{fill:var(--bad);stroke:var(--paper);stroke-width:1}
svg .hollow{fill:var(--paper);stroke:var(--muted);stroke-width:1.5}
svg .faint{fill:var(--accent);fill-opacity:.5}
svg .line{stroke:var(--accent);stroke-width:1.5}
svg .line2{stroke:var(--muted);stroke-width:1.5;stroke-dasharray:4 3}
svg .other{fill:var(--paper);stroke:var(--muted);stroke-width:1}
svg .track{fill:var(--rule)}
div.heat{display:flex;gap:6px;align-items:flex-start}
div.heat .map{overflow-x:auto;flex:1;min-width:0}
div.heat svg{display:block}
p.rows{font-size:11px;color:var(--muted);margin:.3rem 0 0}
svg .never{stroke:var(--ink);stroke-width:.3}
svg .h0{stroke:var(--accent);stroke-opacity:.05}svg rect.h0{fill:var(--accent);fill-opacity:.05;stroke:none}
svg .h1{stroke:var(--accent);stroke-opacity:.14}svg rect.h1{fill:var(--accent);fill-opacity:.14;stroke:none}
svg .h2{stroke:var(--accent);stroke-opacity:.24}svg rect.h2{fill:var(--accent);fill-opacity:.24;stroke:none}
svg .h3{stroke:var(--accent);stroke-opacity:.35}svg rect.h3{fill:var(--accent);fill-opacity:.35;stroke:none}
svg .h4{stroke:var(--accent);stroke-opacity:.48}svg rect.h4{fill:var(--accent);fill-opacity:.48;stroke:none}
svg .h5{stroke:var(--accent);stroke-opacity:.84}svg rect.h5{fill:var(--accent);fill-opacity:.84;stroke:none}
svg .h6{stroke:var(--accent);stroke-opacity:.92}svg rect.h6{fill:var(--accent);fill-opacity:.92;stroke:none}
svg .h7{stroke:var(--accent);stroke-opacity:1}svg rect.h7{fill:var(--accent);fill-opacity:1;stroke:none}
svg.chart text.over{fill:var(--paper)}
@media print{div.heat .map{overflow:visible}div.heat svg{min-width:0!important}}
`

// canvas collects markup.
type canvas struct{ strings.Builder }

// num is a coordinate: two decimals at most.
func num(x float64) string {
	s := strconv.FormatFloat(x, 'f', 2, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

// pct is a coordinate along x, given as a part of the width.
func pct(x float64) string { return num(100*x) + "%" }

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// within keeps coordinates on the chart.
func within(x float64) float64 { return min(max(x, 0), 1) }

// words makes text safe: for elements, and for values of attributes in quotes. What no
// document may hold becomes a replacement character.
func words(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	return template.HTMLEscapeString(s)
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(c, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, pct(x1), num(y1), pct(x2), num(y2))
}

func (c *canvas) rect(class string, x, y, w, h float64, title string) {
	fmt.Fprintf(c, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"`, class, pct(x), num(y), pct(w), num(h))
	if title == "" {
		c.WriteString("/>")
		return
	}
	fmt.Fprintf(c, "><title>%s</title></rect>", words(title))
}

// text writes s at x; anchor is start, middle or end. dx are pixels beside x.
func (c *canvas) text(class, anchor string, x, dx, y float64, s string) {
	c.WriteString("<text")
	if class != "" {
		fmt.Fprintf(c, ` class="%s"`, class)
	}
	fmt.Fprintf(c, ` x="%s" y="%s"`, pct(x), num(y))
	if dx != 0 {
		fmt.Fprintf(c, ` dx="%s"`, num(dx))
	}
	if anchor != "start" {
		fmt.Fprintf(c, ` text-anchor="%s"`, anchor)
	}
	fmt.Fprintf(c, ">%s</text>", words(s))
}

func (c *canvas) html() template.HTML {
	return template.HTML(c.String()) // #nosec: all text went through words
}
