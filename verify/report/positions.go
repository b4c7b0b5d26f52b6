package report

import (
	"fmt"
	"strconv"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/metrics"
)

// positions shows where in a chunk models are apart.
func positions(r *verify.Report) *section {
	if len(r.Positions) == 0 {
		return nil
	}
	s := &section{ID: "positions", Title: "By position", Sum: page.Plural(int64(len(r.Positions)), "range", "ranges")}
	s.prose("Positions count from the start of a chunk: those to the right have more text before them.")
	list := few(r.Positions, 64)
	if len(list) > 1 {
		s.add(block{Figure: positionKLD(list)}, block{Figure: positionSame(list)})
	}
	t := newTable("By position in the chunk", ">positions", ">tokens", ">mean KLD", ">median", ">99\u202f%", ">same likeliest", ">perplexity, baseline", ">checkpoint")
	for _, p := range list {
		m := &p.Summary
		t.row(fmt.Sprintf("%s–%s", count(p.From), count(p.To-1)), count(m.Tokens), plusMinus(m.KLDMean, m.KLDMeanUncertainty), figureOf(m.KLDMedian), figureOf(m.KLDP99),
			percent(m.SameTop), digits(m.PPLBase, 4), digits(m.PPLQuant, 4))
	}
	s.add(t.block())
	return s
}

// byPosition is an axis with a place for each range, labelled by its first position.
func byPosition(list []metrics.Range) svg.Axis {
	x := svg.Axis{Lo: -0.5, Hi: float64(len(list)) - 0.5, Name: "from position"}
	for i, p := range list {
		x.Ticks = append(x.Ticks, svg.Tick{At: float64(i), Label: strconv.Itoa(p.From)})
	}
	return x
}

func positionKLD(list []metrics.Range) *figure {
	mean := svg.Series{Kind: svg.Solid, Join: true}
	middle := svg.Series{Kind: svg.Hollow, Join: true}
	values := []float64{0}
	for i, p := range list {
		m := &p.Summary
		mean.Points = append(mean.Points, svg.Point{X: float64(i), Y: float64(m.KLDMean), Err: float64(m.KLDMeanUncertainty), Title: plusMinus(m.KLDMean, m.KLDMeanUncertainty)})
		middle.Points = append(middle.Points, svg.Point{X: float64(i), Y: float64(m.KLDMedian), Title: figureOf(m.KLDMedian)})
		values = append(values, float64(m.KLDMean), float64(m.KLDMedian))
		if known(m.KLDMeanUncertainty) {
			values = append(values, float64(m.KLDMean+m.KLDMeanUncertainty))
		}
	}
	_, hi, _ := svg.Span(values)
	l := svg.Lines{Frame: svg.Frame{
		Title: "KL divergence by position", Height: 150, X: byPosition(list), Y: svg.Linear(0, hi, 4, nil),
		Desc: "Mean and median for ranges of positions; the table below has the figures.",
	}, Series: []svg.Series{middle, mean}}
	l.Y.Name = "KL divergence, nats"
	return &figure{
		Title: "KL divergence over position", Chart: l.HTML(),
		Legend: []key{{svg.Key(svg.Solid), "mean, with its standard error"}, {svg.Key(svg.Hollow), "median"}},
	}
}

func positionSame(list []metrics.Range) *figure {
	same := svg.Series{Kind: svg.Solid, Join: true}
	var values []float64
	for i, p := range list {
		m := &p.Summary
		same.Points = append(same.Points, svg.Point{X: float64(i), Y: float64(m.SameTop), Err: float64(m.SameTopUncertainty), Title: percentPlusMinus(m.SameTop, m.SameTopUncertainty)})
		values = append(values, float64(m.SameTop))
		if known(m.SameTopUncertainty) {
			values = append(values, float64(m.SameTop-m.SameTopUncertainty))
		}
	}
	lo, _, ok := svg.Span(values)
	if !ok {
		lo = 0
	}
	l := svg.Lines{Frame: svg.Frame{
		Title: "Same likeliest token by position", Height: 120, X: byPosition(list), Y: svg.Linear(min(lo, 0.99), 1, 3, wholePercent),
		Desc: "Share of tokens for ranges of positions; the table below has the figures.",
	}, Series: []svg.Series{same}}
	l.Y.Name = "same likeliest token"
	return &figure{Title: "Agreement over position", Chart: l.HTML(), Note: "With its standard error. The scale does not begin at 0."}
}

// maxTexts bounds the rows of tables of texts.
const maxTexts = 100

// texts shows each text by itself.
func texts(r *verify.Report) *section {
	if len(r.Texts) == 0 {
		return nil
	}
	s := &section{ID: "texts", Title: "By text", Sum: page.Plural(int64(len(r.Texts)), "text", "texts")}
	shown := few(r.Texts, maxTexts)
	if len(shown) > 1 {
		s.add(block{Figure: textRatios(few(shown, 24))})
	}
	t := newTable("By text", "text", ">tokens", ">perplexity, baseline", ">checkpoint", ">ln ratio", ">mean KLD", ">median", ">99\u202f%", ">same likeliest")
	for _, x := range shown {
		m := &x.Metrics
		t.row(code(x.Name), count(m.Tokens), digits(m.PPLBase, 4), digits(m.PPLQuant, 4), signed(plusMinus(m.LnPPLRatio, m.LnPPLRatioUncertainty)),
			plusMinus(m.KLDMean, m.KLDMeanUncertainty), figureOf(m.KLDMedian), figureOf(m.KLDP99), percent(m.SameTop))
	}
	if more := len(r.Texts) - len(shown); more > 0 {
		t.Note = fmt.Sprintf("%s are left out here; the JSON output has them.", page.Plural(int64(more), "more text", "more texts"))
	}
	s.add(t.stack().block())
	return s
}

// textRatios draws the change of perplexity of each text.
func textRatios(shown []evaluation.TextSummary) *figure {
	values := []float64{0}
	v := svg.Intervals{Title: "Change of perplexity by text", Desc: "Logarithm of the ratio of both perplexities, with its standard error; the table below has the figures."}
	for _, x := range shown {
		m := &x.Metrics
		ln, err := float64(m.LnPPLRatio), float64(m.LnPPLRatioUncertainty)
		v.Rows = append(v.Rows, svg.Interval{Label: clip(page.Visible(x.Name), 40), Note: page.Plural(int64(m.Tokens), "token", "tokens"), Kind: svg.Solid, Value: 100 * ln, Err: 100 * err})
		values = append(values, 100*ln)
		if known(err) {
			values = append(values, 100*(ln-err), 100*(ln+err))
		}
	}
	lo, hi, _ := svg.Span(values)
	v.X = svg.Linear(lo-(hi-lo)/20, hi+(hi-lo)/20, 5, func(x float64, decimals int) string { return signed(fixed(x, decimals)) + "\u202f%" })
	v.X.Name = "ln(perplexity of checkpoint / baseline), in percent"
	v.Marks = []svg.Mark{{At: 0}}
	return &figure{Title: "Change of perplexity", Chart: v.HTML(), Note: "With its standard error; left of the dashed line the checkpoint is the better one."}
}

// clip cuts a label in its middle, since the ends of names tell them apart.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	head := (n - 1) / 2
	return string(r[:head]) + "…" + string(r[len(r)-(n-1-head):])
}
