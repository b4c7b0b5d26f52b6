package report

import (
	"fmt"
	"strconv"

	"quern/internal/svg"
	"quern/verify"
)

// hidden shows what a run against a reference tells: logits and hidden states.
func hidden(r *verify.Report) *section {
	if r.Reference == nil && len(r.Hidden) == 0 {
		return nil
	}
	s := &section{ID: "reference", Title: "Against the reference, number by number"}
	if o := r.Reference; o != nil {
		t := newTable("", "", ">largest difference")
		t.row("logits", figureOf(o.MaxAbsLogitDiff))
		if o.MaxAbsMTPLogitDiff != nil {
			t.row("logits of multi-token prediction", figureOf(*o.MaxAbsMTPLogitDiff))
		}
		if !known(o.MaxAbsLogitDiff) {
			t.Note = "A logit that only one side excludes makes the difference infinite."
		}
		s.add(t.block())
	}
	layers := few(r.Hidden, maxLayers)
	if len(layers) == 0 {
		return s
	}
	if len(layers) > 1 {
		line := svg.Series{Kind: svg.Solid, Join: true}
		values := []float64{}
		for _, h := range layers {
			y := float64(h.Relative)
			if y > 0 {
				values = append(values, y)
			} else {
				y = 0 // equal states lie on the floor of a logarithmic scale
			}
			line.Points = append(line.Points, svg.Point{X: float64(h.Layer), Y: y, Title: fmt.Sprintf("layer %d: %s", h.Layer, figureOf(h.Relative))})
		}
		if lo, hi, ok := svg.Span(values); ok {
			l := svg.Lines{Frame: svg.Frame{
				Title: "Difference of hidden states by layer", Height: 150, X: byLayer(layers[0].Layer, layers[len(layers)-1].Layer), Y: svg.Decades(lo, hi, 4),
				Desc: "Largest difference of the inputs of each layer by their root mean square, on a logarithmic scale; the table below has the figures.",
			}, Series: []svg.Series{line}}
			l.Y.Name = "largest difference / RMS, logarithmic"
			s.add(block{Figure: &figure{Title: "Hidden states", Chart: l.HTML(), Note: "At the input of each layer; the last is what the output head reads."}})
		}
	}
	t := newTable("Inputs of layers", ">layer", ">largest difference", ">RMS", ">difference / RMS", ">SQNR, dB")
	t.Folded = len(layers) > 16
	for _, h := range layers {
		db := none
		if known(h.SQNR) {
			db = fixed(float64(h.SQNR), 2)
		} else if h.MaxAbs == 0 {
			db = "exact"
		}
		t.row(strconv.Itoa(h.Layer), figureOf(h.MaxAbs), figureOf(h.RMS), figureOf(h.Relative), db)
	}
	s.add(t.block())
	return s
}
