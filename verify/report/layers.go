package report

import (
	"fmt"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/verify"
)

// leastByLayer draws the tensor with the most noise of each layer: of a large model it
// stands for the tens of thousands that there are.
func leastByLayer(w *verify.WeightsReport) *figure {
	first, last := maxLayers, -1
	var worst [maxLayers]*verify.TensorError
	var values []float64
	for i := range w.Tensors {
		t := &w.Tensors[i]
		if t.Layer < 0 || t.Layer >= maxLayers || t.SQNR == nil || !known(*t.SQNR) || *t.SQNR <= unmeasurable {
			continue
		}
		if at := &worst[t.Layer]; *at == nil || *t.SQNR < *(*at).SQNR {
			*at = t
		}
		first, last = min(first, t.Layer), max(last, t.Layer)
	}
	if last <= first {
		return nil
	}
	line := svg.Series{Kind: svg.Solid, Join: true}
	failed := svg.Series{Kind: svg.Failed}
	for _, t := range worst[first : last+1] {
		if t == nil {
			continue
		}
		p := svg.Point{X: float64(t.Layer), Y: *t.SQNR, Title: fmt.Sprintf("layer %d: %s\u202fdB, %s", t.Layer, decibels(t.SQNR), page.Visible(t.Name))}
		values = append(values, p.Y)
		line.Points = append(line.Points, p)
		if t.Short {
			failed.Points = append(failed.Points, p)
		}
	}
	lo, hi, _ := svg.Span(values)
	l := svg.Lines{Frame: svg.Frame{
		Title: "Least SQNR by layer", Height: 120, X: byLayer(first, last), Y: svg.Linear(lo, hi, 4, nil),
		Desc: "The tensor with the most noise of each layer. The scale does not begin at 0.",
	}, Series: []svg.Series{line, failed}}
	l.Y.Name = "least SQNR, dB"
	f := &figure{Title: "Most noise by layer", Chart: l.HTML(), Note: l.Desc + " A pointer that rests on a point shows the tensor."}
	if len(failed.Points) > 0 {
		f.Legend = []key{{svg.Key(svg.Solid), "a layer"}, {svg.Key(svg.Failed), "below the limit"}}
	}
	return f
}
