package report

import (
	"fmt"
	"slices"
	"strconv"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/metrics"
)

// Bounds of what is drawn of routing: the largest models have some 60 layers of 400
// experts.
const (
	maxCells  = 1 << 16
	maxLayers = 256

	openLayers = 16 // maps of more are folded: figures by layer stand for them
)

// routing shows whether tokens go to the same experts.
func routing(r *verify.Report) *section {
	x := r.Routing
	if x == nil || len(x.Layers) == 0 {
		return nil
	}
	s := &section{ID: "routing", Title: "Routing"}
	s.prose(fmt.Sprintf("Of the experts that the baseline’s routers choose, the checkpoint’s choose %s too. The first choice is the same for %s of the tokens of a layer, the whole set for %s.",
		percent(x.Overlap), percent(x.Top1), percent(x.Identical)))
	layers := few(x.Layers, maxLayers)
	if len(layers) > 1 {
		s.add(block{Figure: routingLines(layers)})
		if f := imbalanceLines(layers); f != nil {
			s.add(block{Figure: f})
		}
	}
	var base, quant, agreement heat
	for i := range layers {
		l := &layers[i]
		base.load(l.Layer, l.LoadBase)
		quant.load(l.Layer, l.LoadQuant)
		agreement.agree(l.Layer, l.Agreement)
	}
	s.add(base.figure("Load of experts, baseline", loadNote, loadKeys)...)
	s.add(quant.figure("Load of experts, checkpoint", loadNote, loadKeys)...)
	s.add(agreement.figure("Agreement by expert", "Of the times that the baseline chose an expert, how often the checkpoint did too. Darker is less.", agreementKeys)...)
	t := newTable("By layer", ">layer", ">tokens", ">experts a token", ">same experts", ">same first", ">same set", ">max/mean load, baseline", ">checkpoint", ">least agreement")
	t.Folded = len(layers) > 12
	for i := range layers {
		l := &layers[i]
		t.row(strconv.Itoa(l.Layer), count(l.Tokens), count(l.K), percentPlusMinus(l.Overlap, l.OverlapUncertainty), percent(l.Top1), percent(l.Identical),
			imbalance(l.LoadBase), imbalance(l.LoadQuant), leastAgreement(l))
	}
	if more := len(x.Layers) - len(layers); more > 0 {
		t.Note = fmt.Sprintf("%s are left out here; the JSON output has them.", page.Plural(int64(more), "more layer", "more layers"))
	}
	s.add(t.block())
	return s
}

// routingLines draws agreement by layer.
func routingLines(layers []metrics.LayerRouting) *figure {
	overlap := svg.Series{Kind: svg.Solid, Join: true}
	first := svg.Series{Kind: svg.Hollow, Join: true}
	var values []float64
	for i := range layers {
		l := &layers[i]
		overlap.Points = append(overlap.Points, svg.Point{X: float64(l.Layer), Y: float64(l.Overlap), Title: fmt.Sprintf("layer %d: %s", l.Layer, percent(l.Overlap))})
		first.Points = append(first.Points, svg.Point{X: float64(l.Layer), Y: float64(l.Top1), Title: fmt.Sprintf("layer %d: %s", l.Layer, percent(l.Top1))})
		values = append(values, float64(l.Overlap), float64(l.Top1))
	}
	lo, _, ok := svg.Span(values)
	if !ok {
		lo = 0
	}
	worst := slices.MinFunc(layers, func(a, b metrics.LayerRouting) int { return compare(float64(a.Overlap), float64(b.Overlap)) })
	l := svg.Lines{Frame: svg.Frame{
		Title: "Agreement of routers by layer", Height: 160, X: byLayer(layers[0].Layer, layers[len(layers)-1].Layer), Y: svg.Linear(min(lo, 0.99), 1, 4, wholePercent),
		Desc: fmt.Sprintf("Least in layer %d: %s of the experts are the same.", worst.Layer, percent(worst.Overlap)),
	}, Series: []svg.Series{first, overlap}}
	l.Y.Name = "the same in both"
	return &figure{
		Title: "Agreement by layer", Chart: l.HTML(), Note: l.Desc + " The scale does not begin at 0.",
		Legend: []key{{svg.Key(svg.Solid), "experts of a token"}, {svg.Key(svg.Hollow), "first expert of a token"}},
	}
}

// imbalanceLines draws the busiest expert of each layer.
func imbalanceLines(layers []metrics.LayerRouting) *figure {
	base, quant := svg.Series{Kind: svg.Hollow, Join: true}, svg.Series{Kind: svg.Solid, Join: true}
	values := []float64{1}
	for i := range layers {
		l := &layers[i]
		for _, x := range []struct {
			to   *svg.Series
			load []int64
		}{{&base, l.LoadBase}, {&quant, l.LoadQuant}} {
			if len(x.load) == 0 {
				continue
			}
			y := float64(slices.Max(x.load)) / mean(x.load)
			x.to.Points = append(x.to.Points, svg.Point{X: float64(l.Layer), Y: y, Title: fmt.Sprintf("layer %d: %s", l.Layer, imbalance(x.load))})
			values = append(values, y)
		}
	}
	_, hi, _ := svg.Span(values)
	if hi == 1 {
		return nil
	}
	l := svg.Lines{Frame: svg.Frame{
		Title: "Load of the busiest expert by layer", Height: 120, X: byLayer(layers[0].Layer, layers[len(layers)-1].Layer), Y: svg.Linear(0, hi, 4, nil),
		Desc: "Its load over the mean of the layer: 1 is an even share.",
	}, Series: []svg.Series{base, quant}}
	l.Y.Name = "busiest expert / mean"
	return &figure{
		Title: "Busiest expert by layer", Chart: l.HTML(), Note: l.Desc,
		Legend: []key{{svg.Key(svg.Solid), "checkpoint"}, {svg.Key(svg.Hollow), "baseline"}},
	}
}

// byLayer is an axis over layers with whole numbers.
func byLayer(first, last int) svg.Axis {
	step := 1
	for _, n := range []int{1, 2, 5, 10, 20, 50, 100, 1000, 10000} {
		if step = n; (last-first)/n <= 10 {
			break
		}
	}
	a := svg.Axis{Lo: float64(first) - 0.5, Hi: float64(last) + 0.5, Name: "layer"}
	for i := first; i <= last && len(a.Ticks) < 100; i++ {
		if i%step == 0 {
			a.Ticks = append(a.Ticks, svg.Tick{At: float64(i), Label: strconv.Itoa(i)})
		}
	}
	return a
}

// compare orders numbers; what is none is last.
func compare(a, b float64) int {
	switch ka, kb := known(a), known(b); {
	case ka && kb && a < b, ka && !kb:
		return -1
	case ka && kb && a > b, kb && !ka:
		return 1
	}
	return 0
}

// mean is the load of an expert if all were alike.
func mean(load []int64) float64 {
	sum := int64(0)
	for _, n := range load {
		sum += n
	}
	return float64(sum) / float64(len(load))
}

// imbalance is the highest load by the mean.
func imbalance(load []int64) string {
	if len(load) == 0 {
		return none
	}
	return digits(float64(slices.Max(load))/mean(load), 3)
}

// leastAgreement names the expert that is chosen again least often.
func leastAgreement(l *metrics.LayerRouting) string {
	at := -1
	for e, a := range l.Agreement {
		if known(a) && (at < 0 || a < l.Agreement[at]) {
			at = e
		}
	}
	if at < 0 {
		return none
	}
	return fmt.Sprintf("%s (expert %d)", percent(l.Agreement[at]), at)
}

// heat collects the rows of a heat map.
type heat struct {
	rows   []int
	levels [][]int8
	text   [][]string
	cells  int
}

// Shades are the number of bounds that a value has reached.
var (
	loadBounds      = []float64{0.25, 0.5, 0.8, 1.25, 2, 3, 5}          // of the mean load
	agreementBounds = []float64{0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4} // of choices that differ
	loadNames       = []string{"0", "¼", "½", "0.8", "1.25", "2", "3", "5"}
	agreementNames  = []string{"99.5\u202f%", "99", "98", "95", "90", "80", "60", "less"}
	loadKeys        = keys("times the mean, from", loadNames)
	agreementKeys   = keys("down to", agreementNames)
)

const loadNote = "How often each expert was chosen, against the mean of its layer: 1 is an even share."

// keys explain shades.
func keys(what string, names []string) []key {
	out := []key{{"", what}}
	for i, n := range names {
		out = append(out, key{svg.Swatch(int8(i)), n})
	}
	return append(out, key{svg.Swatch(svg.Never), "never chosen"})
}

func shadeOf(x float64, bounds []float64) int8 {
	n := int8(0)
	for _, b := range bounds {
		if x >= b {
			n++
		}
	}
	return n
}

// load adds the row of a layer.
func (h *heat) load(layer int, load []int64) {
	levels, text := make([]int8, len(load)), make([]string, len(load))
	even := mean(load)
	for e, n := range load {
		x := float64(n) / even
		levels[e], text[e] = shadeOf(x, loadBounds), fixed(x, 1)
		if n <= 0 {
			levels[e] = svg.Never
		}
	}
	h.add(layer, levels, text)
}

// agree adds the row of a layer.
func (h *heat) agree(layer int, same []metrics.Figure) {
	levels, text := make([]int8, len(same)), make([]string, len(same))
	for e, a := range same {
		if !known(a) {
			levels[e] = svg.Never
			continue
		}
		levels[e], text[e] = shadeOf(1-float64(a), agreementBounds), fixed(100*float64(a), 0)
	}
	h.add(layer, levels, text)
}

func (h *heat) add(layer int, levels []int8, text []string) {
	h.rows = append(h.rows, layer)
	h.levels, h.text = append(h.levels, levels), append(h.text, text)
	h.cells += len(levels)
}

// figure is the map, or nothing.
func (h *heat) figure(title, note string, keys []key) []block {
	switch {
	case h.cells == 0:
		return nil
	case h.cells > maxCells:
		return []block{{Prose: fmt.Sprintf("%s: %s are too many to draw; the JSON output has them.", title, page.Plural(int64(h.cells), "cell", "cells"))}}
	}
	m := svg.HeatMap{Title: title, Desc: note + " The table has the extremes of each layer.", Columns: "expert", RowName: "layer", Rows: h.rows, Levels: h.levels, Text: h.text}
	return []block{{Figure: &figure{Title: title, Chart: m.HTML(), Legend: keys, Note: note + " Rows are layers.", Folded: len(h.rows) > openLayers}}}
}

// loadMap is the map of one model's loads.
func loadMap(load []evaluation.LayerLoad) []block {
	var h heat
	for _, l := range few(load, maxLayers) {
		h.load(l.Layer, l.Load)
	}
	return h.figure("Load of experts", loadNote, loadKeys)
}
