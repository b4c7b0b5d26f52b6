package svg

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// decode reads the paths of a heat map back.
func decode(t *testing.T, markup string, rows, columns int) [][]int8 {
	t.Helper()
	out := make([][]int8, rows)
	for y := range out {
		out[y] = make([]int8, columns)
		for x := range out[y] {
			out[y][x] = Absent
		}
	}
	for _, part := range strings.Split(markup, `<path class="`)[1:] {
		class, rest, _ := strings.Cut(part, `" d="`)
		d, _, _ := strings.Cut(rest, `"`)
		level := int8(Never)
		if class != "never" {
			n, err := strconv.Atoi(strings.TrimPrefix(class, "h"))
			if err != nil {
				t.Fatal(err)
			}
			level = int8(n)
		}
		x, y := 0, 0
		for d != "" {
			var dx, dy, n int
			relative := d[0] == 'm'
			end := strings.IndexAny(d[1:], "mM") + 1
			if end == 0 {
				end = len(d)
			}
			if _, err := fmt.Sscanf(strings.ToLower(d[:end]), "m%d %dh%d", &dx, &dy, &n); err != nil {
				t.Fatalf("%q: %v", d[:end], err)
			}
			d = d[end:]
			if relative {
				x, y = x+dx, y+dy
			} else {
				x, y = dx, dy
			}
			for range n {
				if out[y][x] != Absent {
					t.Fatalf("cell %d, %d is drawn twice", x, y)
				}
				out[y][x] = level
				x++
			}
		}
	}
	return out
}

func TestHeatMapPaths(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	const rows, columns = 58, 256
	h := HeatMap{Title: hostile, Desc: hostile, Columns: hostile}
	for y := range rows {
		row := make([]int8, columns)
		for x := range row {
			row[x] = int8(rnd.IntN(Levels+2)) - 2
		}
		h.Rows, h.Levels = append(h.Rows, y), append(h.Levels, row)
	}
	markup := h.HTML()
	n := count(t, markup)
	if n["path"] != Levels+1 || n["script"] != 0 {
		t.Errorf("%v", n)
	}
	if len(markup) > 8*rows*columns {
		t.Errorf("%d bytes for %d cells", len(markup), rows*columns)
	}
	for y, row := range decode(t, string(markup), rows, columns) {
		for x, level := range row {
			if level != h.Levels[y][x] {
				t.Fatalf("cell %d, %d has shade %d, want %d", x, y, level, h.Levels[y][x])
			}
		}
	}
}

func TestHeatMapCells(t *testing.T) {
	h := HeatMap{Title: "t", Rows: []int{1, 2}, Levels: [][]int8{{0, Never, 7}, {3, Absent}}, Text: [][]string{{"a", "b", hostile}, {"c", "d"}}}
	n := count(t, h.HTML())
	if n["rect.h0"] != 1 || n["rect.h7"] != 1 || n["rect.h3"] != 1 || n["rect"] != 3 || n["text.over"] != 1 || n["text.label"] != 3 || n["path"] != 0 {
		t.Errorf("%v", n)
	}
	if s := string(h.HTML()); strings.Contains(s, ">b<") || strings.Contains(s, ">d<") {
		t.Error("cells without value have text")
	}
	if s := (&HeatMap{}).HTML(); s != "" {
		t.Errorf("a map of nothing: %q", s)
	}
	for _, level := range []int8{Never, 0, 7} {
		count(t, Swatch(level))
	}
}
