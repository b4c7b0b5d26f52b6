package report

import (
	"fmt"
	"html/template"
	"strconv"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/shard/placement"
)

// Bounds of what is drawn.
const (
	maxCells = 1 << 15
	wideText = 8 // ranks that leave room for two decimals in a cell
)

// figure is a chart.
type figure struct {
	Title string
	Chart template.HTML
}

// key explains a sign.
type key struct {
	Sign template.HTML
	Text string
}

// The shade of a rank is the number of bounds that its load has reached. Both maps
// have the same, so that they can be compared; from 1.05 on it is strong.
var (
	bounds     = []float64{0.5, 0.7, 0.85, 0.95, 1.05, 1.2, 1.5} // of the mean load
	boundNames = []string{"0", "0.5", "0.7", "0.85", "0.95", "1.05", "1.2", "1.5"}
)

func legend() []key {
	var out []key
	for i, n := range boundNames {
		out = append(out, key{svg.Swatch(int8(i)), n})
	}
	return append(out, key{svg.Swatch(svg.Never), "nothing counted"})
}

// maps draws the loads of ranks before and after, and says how to read that; nothing
// where nothing was counted.
func maps(p *placement.Placement, load [][]float64) (list []figure, note string) {
	load = load[:min(len(load), maxLayers, maxCells/p.Config.Ranks)]
	before := heat(p, load, func(int) []int { return contiguous(p) })
	if before == nil {
		return nil, ""
	}
	note = fmt.Sprintf("Load of each rank, over the mean of its layer. Rows are layers, columns are ranks. The strong shades begin at %s; an even placement has one shade, that of %s to %[1]s.", boundNames[5], boundNames[4])
	if more := len(p.Layers) - len(load); more > 0 {
		note += fmt.Sprintf(" %s left out.", page.Plural(int64(more), "more layer", ""))
	}
	draw := func(title string, h *svg.HeatMap) figure {
		h.Title, h.Desc, h.Columns, h.RowName = title, note, "rank", "layer"
		return figure{title, h.HTML()}
	}
	if p.Config.Algorithm == placement.Contiguous {
		return []figure{draw("In index order", before)}, note
	}
	after := heat(p, load, func(i int) []int { return p.Layers[i].Phy2Log })
	return []figure{
		draw("Before: in index order", before),
		draw("After: placed by "+names[p.Config.Algorithm], after),
	}, note
}

// contiguous is the placement of a layer in index order: what is before.
func contiguous(p *placement.Placement) []int {
	out := make([]int, p.Slots)
	for i := range out {
		out[i] = i % p.Shape.Experts
	}
	return out
}

// heat collects the rows of a map; nil where nothing was counted.
func heat(p *placement.Placement, load [][]float64, phy2log func(layer int) []int) *svg.HeatMap {
	h := &svg.HeatMap{}
	decimals, counted := 1, false
	if p.Config.Ranks <= wideText {
		decimals = 2
	}
	for i := range load {
		loads := ofRanks(load[i], phy2log(i), p.Config.Ranks)
		levels, text := make([]int8, p.Config.Ranks), make([]string, p.Config.Ranks)
		for r := range levels {
			if loads == nil {
				levels[r] = svg.Never
				continue
			}
			counted = true
			levels[r], text[r] = shade(loads[r]), strconv.FormatFloat(loads[r], 'f', decimals, 64)
		}
		h.Rows = append(h.Rows, p.Layers[i].Number)
		h.Levels, h.Text = append(h.Levels, levels), append(h.Text, text)
	}
	if !counted {
		return nil
	}
	return h
}

func shade(x float64) int8 {
	n := int8(0)
	for _, b := range bounds {
		if x >= b {
			n++
		}
	}
	return n
}
