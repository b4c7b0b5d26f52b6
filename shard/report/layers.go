package report

import (
	"fmt"
	"slices"
	"strconv"

	"quern/internal/page"
	"quern/shard/placement"
)

// Bounds of what is shown: the largest models have some 90 layers.
const (
	maxLayers = 256
	openRows  = 12 // more are folded, on a screen
)

// table has a column for each measure and algorithm.
type table struct {
	Over   []string // a heading over each three columns
	Head   []string
	Rows   []row
	Mean   row
	Folded bool
	Note   string
}

type row struct {
	Name  string
	Cells []cell
}

type cell struct {
	Text   string
	Chosen bool // of the placement that was asked for
}

// byLayer makes the table of all layers and their mean.
func byLayer(c *placement.Comparison) *table {
	p := c.Placement
	t := &table{Head: []string{"layer"}}
	list := measures(c)
	for _, m := range list {
		t.Over = append(t.Over, m.name)
		for _, a := range placement.Algorithms {
			t.Head = append(t.Head, string(a))
		}
	}
	cells := func(name string, of map[placement.Algorithm]placement.Metrics) row {
		r := row{Name: name}
		for _, m := range list {
			for _, a := range placement.Algorithms {
				r.Cells = append(r.Cells, cell{figureOf(m.of(of[a])), a == p.Config.Algorithm})
			}
		}
		return r
	}
	for i, of := range c.Metrics[:min(len(c.Metrics), maxLayers)] {
		name := strconv.Itoa(p.Layers[i].Number)
		if slices.Contains(p.Shape.MTP, p.Layers[i].Number) {
			name += " (MTP)"
		}
		t.Rows = append(t.Rows, cells(name, of))
	}
	t.Mean = cells("mean", c.Mean)
	t.Folded = len(t.Rows) > openRows
	if more := len(c.Metrics) - len(t.Rows); more > 0 {
		t.Note = fmt.Sprintf("%s left out here; the JSON output has all. The mean is of all.", page.Plural(int64(more), "more layer", ""))
	}
	return t
}
