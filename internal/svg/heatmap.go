package svg

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
)

// Levels is how many shades a heat map has, 0 being the faintest.
const Levels = 8

// dark is the first shade on which text is in the colour of the paper.
const dark = 5

// Never marks a cell that has no value: a dash. Absent is no cell at all.
const (
	Never  = -1
	Absent = -2
)

// HeatMap draws a table of numbers as shades of the accent. Rows keep their labels in
// sight when the map is wider than the page and scrolls in its own box.
type HeatMap struct {
	Title, Desc string
	Columns     string // what columns are, written below them
	RowName     string // what rows are, written above their labels
	Rows        []int  // numbers, as many as there are rows
	// Levels has a shade for each cell, by row. Rows may differ in length.
	Levels [][]int8
	// Text has what is written in cells, by row; nil: nothing. It is left out where
	// there is no room.
	Text [][]string
}

// roomy is how many columns leave room for text in cells, on a phone too.
const roomy = 16

// HTML draws h. The markup grows by some six bytes a cell without text.
func (h *HeatMap) HTML() template.HTML {
	columns := 0
	for _, r := range h.Levels {
		columns = max(columns, len(r))
	}
	rows := len(h.Levels)
	if rows == 0 || columns == 0 {
		return ""
	}
	text := h.Text != nil && columns <= roomy
	size := 6
	switch {
	case text || rows <= 8:
		size = 22
	case rows <= 32:
		size = 12
	}
	least, most := 3, 12
	if columns <= 32 {
		least, most = 9, 32
	}
	if text {
		least, most = 18, 40
	}
	c := &canvas{}
	if h.RowName != "" {
		fmt.Fprintf(c, `<p class="rows" aria-hidden="true">%s</p>`, words(h.RowName))
	}
	c.WriteString(`<div class="heat">`)
	h.labels(c, size)
	fmt.Fprintf(c, `<div class="map" tabindex="0" role="group" aria-label="%s"><svg class="chart cells" role="img" shape-rendering="crispEdges" style="width:100%%;min-width:%dpx;max-width:%dpx;height:%dpx"`,
		words(h.Title), least*columns, most*columns, size*rows)
	if text {
		c.WriteString(">")
	} else {
		fmt.Fprintf(c, ` viewBox="0 0 %d %d" preserveAspectRatio="none">`, columns, rows)
	}
	fmt.Fprintf(c, "<title>%s</title>", words(h.Title))
	if h.Desc != "" {
		fmt.Fprintf(c, "<desc>%s</desc>", words(h.Desc))
	}
	if text {
		h.cells(c, columns, size)
	} else {
		h.paths(c)
	}
	fmt.Fprintf(c, `</svg><svg class="chart" aria-hidden="true" style="width:100%%;min-width:%dpx;max-width:%dpx;height:34px">`, least*columns, most*columns)
	step := int(niceStep(float64(columns) / 16))
	for i := 0; i < columns; i += max(step, 1) {
		if i == 0 && columns > 32 { // the box cuts what hangs over
			c.text("", "start", 0, 0, 13, "0")
			continue
		}
		c.text("", "middle", (float64(i)+0.5)/float64(columns), 0, 13, strconv.Itoa(i))
	}
	c.text("", "middle", 0.5, 0, 29, h.Columns)
	c.WriteString("</svg></div></div>")
	return c.html()
}

// labels draws the names of rows, as many as there is room for.
func (h *HeatMap) labels(c *canvas, size int) {
	rows := len(h.Levels)
	longest := 1
	for _, r := range h.Rows {
		longest = max(longest, len(strconv.Itoa(r)))
	}
	fmt.Fprintf(c, `<svg class="chart" aria-hidden="true" width="%d" height="%d">`, 7*longest+2, size*rows)
	step := int(niceStep(max(16/float64(size), 1)))
	for i, r := range h.Rows[:min(len(h.Rows), rows)] {
		if r%step == 0 {
			c.text("", "end", 1, 0, (float64(i)+0.5)*float64(size)+4, strconv.Itoa(r))
		}
	}
	c.WriteString("</svg>")
}

// paths draws each shade as one path of horizontal strokes, which is small.
func (h *HeatMap) paths(c *canvas) {
	c.WriteString(`<g fill="none" stroke-width="1.02" transform="translate(0 .5)">`)
	for level := int8(Never); level < Levels; level++ {
		if !slices.ContainsFunc(h.Levels, func(r []int8) bool { return slices.Contains(r, level) }) {
			continue
		}
		fmt.Fprintf(c, `<path class="%s" d="`, shade(level))
		for y, row := range h.Levels {
			end := -1 // of the last stroke in this row
			for x := 0; x < len(row); x++ {
				if row[x] != level {
					continue
				}
				n := 1
				for x+n < len(row) && row[x+n] == level {
					n++
				}
				if end < 0 {
					fmt.Fprintf(c, "M%d %dh%d", x, y, n)
				} else {
					fmt.Fprintf(c, "m%d 0h%d", x-end, n)
				}
				x += n
				end = x
			}
		}
		c.WriteString(`"/>`)
	}
	c.WriteString("</g>")
}

// cells draws each cell with its text.
func (h *HeatMap) cells(c *canvas, columns, size int) {
	w := 1 / float64(columns)
	for y, row := range h.Levels {
		top := float64(y * size)
		for x, level := range row {
			if level == Absent {
				continue
			}
			at := float64(x) * w
			if level >= 0 {
				c.rect(shade(level), at, top, w, float64(size), "")
			}
			s, class := "–", "label"
			if level != Never && y < len(h.Text) && x < len(h.Text[y]) {
				s, class = h.Text[y][x], "label"
			}
			if level >= dark {
				class = "over"
			}
			c.text(class, "middle", at+w/2, 0, top+float64(size)/2+4, s)
		}
	}
}

func shade(level int8) string {
	if level < 0 {
		return "never"
	}
	return fmt.Sprintf("h%d", min(level, Levels-1))
}

// Swatch is the sign of a shade, for a legend.
func Swatch(level int8) template.HTML {
	c := &canvas{}
	c.WriteString(`<svg class="key" width="14" height="12" viewBox="0 0 14 12" aria-hidden="true"><rect class="box" x=".5" y=".5" width="13" height="11"/>`)
	if level < 0 {
		c.WriteString(`<line class="dash" x1="3" y1="6" x2="11" y2="6"/>`)
	} else {
		fmt.Fprintf(c, `<rect class="%s" x=".5" y=".5" width="13" height="11"/>`, shade(level))
	}
	c.WriteString("</svg>")
	return c.html()
}
