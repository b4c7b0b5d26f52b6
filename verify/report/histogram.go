package report

import (
	"fmt"
	"math"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/verify/metrics"
)

// histogram draws the divergences, and their tail, which a histogram alone hides.
func histogram(b *metrics.Bins, m *metrics.Summary) []block {
	n := len(b.Edges)
	if n < 2 || len(b.Counts) != n+1 {
		return nil
	}
	total, first, last := 0, -1, 0
	for i, c := range b.Counts {
		total += c
		if c > 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if total == 0 {
		return nil
	}
	if last == 0 {
		return []block{{Prose: fmt.Sprintf("The divergence of %s is below %s.", page.Plural(int64(total), "token", "tokens"), figureOf(b.Edges[0]))}}
	}
	// Bin i is from edge i−1 to edge i; the open ones get the width of their neighbours.
	edge := func(i int) float64 {
		switch {
		case i < 0:
			return b.Edges[0] * b.Edges[0] / b.Edges[1]
		case i >= n:
			return b.Edges[n-1] * b.Edges[n-1] / b.Edges[n-2]
		}
		return b.Edges[i]
	}
	low := max(first, 1) // what is below all edges does not stretch the scale
	x := svg.Decades(edge(low-1), edge(last), 8)
	x.Name = "KL divergence of a token, nats"

	h := svg.Histogram{Frame: svg.Frame{Title: "Distribution of the KL divergence", Height: 170, X: x}}
	h.Desc = fmt.Sprintf("Share of %s by the KL divergence on a logarithmic scale: median %s, 99th percentile %s, maximum %s.",
		page.Plural(int64(total), "token", "tokens"), figureOf(m.KLDMedian), figureOf(m.KLDP99), figureOf(m.KLDMax))
	most := 0.0
	for i := low; i <= last; i++ {
		part := float64(b.Counts[i]) / float64(total)
		most = max(most, part)
		h.Bins = append(h.Bins, svg.Bin{
			From: edge(i - 1), To: edge(i), Value: part,
			Title: fmt.Sprintf("%s to %s: %s, %s", digits(edge(i-1), 2), digits(edge(i), 2), page.Plural(int64(b.Counts[i]), "token", "tokens"), percent(part)),
		})
	}
	h.Y = svg.Linear(0, most*1.3, 4, wholePercent)
	h.Y.Name = "share of tokens"
	for _, q := range []struct {
		at    metrics.Figure
		label string
	}{{m.KLDMedian, "median"}, {m.KLDP99, "99\u202f%"}, {m.KLDP999, "99.9\u202f%"}} {
		if known(q.at) && float64(q.at) >= x.Lo && float64(q.at) <= x.Hi {
			h.Marks = append(h.Marks, svg.Mark{At: float64(q.at), Label: q.label})
		}
	}
	f := &figure{Title: "Distribution", Chart: h.HTML()}
	if b.Counts[0] > 0 {
		f.Note = fmt.Sprintf("%s below %s (exact agreement among them) left out.", page.Plural(int64(b.Counts[0]), "token is", "tokens are"), digits(b.Edges[0], 1))
	}
	return []block{{Figure: f}, {Figure: tailFigure(b, x, total, edge)}}
}

// tailFigure draws which share of the tokens is at or above a divergence.
func tailFigure(b *metrics.Bins, x svg.Axis, total int, edge func(int) float64) *figure {
	l := svg.Lines{Frame: svg.Frame{Title: "Tail of the KL divergence", Height: 150, X: x}}
	s := svg.Series{Kind: svg.Solid, Join: true}
	above, least := 0, 1.0
	points := make([]svg.Point, 0, len(b.Counts))
	for i := len(b.Counts) - 1; i >= 1; i-- {
		above += b.Counts[i]
		at := edge(i - 1)
		if above == 0 || at < x.Lo {
			continue
		}
		part := float64(above) / float64(total)
		least = min(least, part)
		points = append(points, svg.Point{X: at, Y: part, Title: fmt.Sprintf("%s of the tokens at %s or above", digits(100*part, 3)+"\u202f%", digits(at, 2))})
	}
	for i := len(points) - 1; i >= 0; i-- {
		s.Points = append(s.Points, points[i])
	}
	l.Series = []svg.Series{s}
	l.Y = svg.Decades(least, 1, 4)
	for i := range l.Y.Ticks {
		l.Y.Ticks[i].Label = powerPercent(l.Y.Ticks[i].At)
	}
	l.Y.Name = "tokens at or above, logarithmic"
	var words []string
	for _, at := range []float64{0.01, 0.1, 1} {
		n := 0
		for i := 1; i < len(b.Counts); i++ {
			if edge(i-1) >= at*(1-1e-9) {
				n += b.Counts[i]
			}
		}
		words = append(words, fmt.Sprintf("%s at %s or above", page.Plural(int64(n), "token", "tokens"), figureAs(at)))
	}
	l.Desc = "Of " + page.Plural(int64(total), "token", "tokens") + ", " + page.List(words) + "."
	return &figure{Title: "Tail", Chart: l.HTML(), Note: l.Desc}
}

func figureAs(x float64) string { return digits(x, 1) }

// wholePercent labels an axis of parts of 1.
func wholePercent(x float64, decimals int) string {
	return fixed(100*x, max(decimals-2, 0)) + "\u202f%"
}

// powerPercent labels powers of ten as percentages.
func powerPercent(x float64) string {
	e := int(math.Round(math.Log10(x)))
	if e >= -4 {
		return fixed(100*x, max(0, -2-e)) + "\u202f%"
	}
	return svg.Power(e)
}
