package verify

import (
	"fmt"
	"io"
	"strconv"

	"quern/internal/ui"
	"quern/verify/evaluation"
	"quern/verify/metrics"
)

// print writes what running models told.
func (b *Behaviour) print(w io.Writer) {
	if r := b.Reference; r != nil {
		fmt.Fprintf(w, "\nlogits differ by at most %s", figure(r.MaxAbsLogitDiff, 3))
		if r.MaxAbsMTPLogitDiff != nil {
			fmt.Fprintf(w, ", those of multi-token prediction by %s", figure(*r.MaxAbsMTPLogitDiff, 3))
		}
		fmt.Fprintln(w)
	}
	if b.Single != nil {
		b.printSingle(w)
	}
	if m := b.Metrics; m != nil {
		b.printMetrics(w)
	}
	if b.Fast != nil {
		fmt.Fprintf(w, "\n%s\n", ui.Wrap(b.FastWords(), 0, 2))
	}
	b.printDeployment(w)
	if m := b.Static; m != nil {
		b.printStatic(w)
	}
	if len(b.Texts) > 1 {
		fmt.Fprintln(w)
		var rows [][]string
		for _, t := range b.Texts {
			m := &t.Metrics
			rows = append(rows, []string{t.Name, ui.Count(int64(m.Tokens)), figure(m.PPLBase, 5), figure(m.PPLQuant, 5), figure(m.KLDMean, 3), percentFigure(m.SameTop)})
		}
		ui.Table(w, []string{"text", ">tokens", ">perplexity", ">checkpoint", ">mean KLD", ">same top"}, rows)
	}
	if r := b.Routing; r != nil {
		fmt.Fprintln(w)
		var rows [][]string
		for _, l := range r.Layers {
			rows = append(rows, []string{strconv.Itoa(l.Layer), percentFigure(l.Overlap), percentFigure(l.Top1), percentFigure(l.Identical), imbalance(l.LoadBase), imbalance(l.LoadQuant)})
		}
		ui.Table(w, []string{">layer", ">same experts", ">same first", ">same set", ">load max/mean", ">checkpoint"}, rows)
	}
	if m := b.MTP; m != nil {
		fmt.Fprintf(w, "\n%s\n", ui.Wrap(fmt.Sprintf("multi-token prediction: acceptance %s → %s of %s tokens, teacher-forced", percentFigure(m.AcceptanceBase), percentFigure(m.AcceptanceQuant), ui.Count(int64(m.Tokens))), 0, 2))
	}
	if s := b.Setup; s != nil && len(s.Remarks) > 0 {
		fmt.Fprintln(w, "\nof the checkpoint, and the figures")
		for _, r := range s.Remarks {
			item(w, r)
		}
	}
	if s := b.TokensPerSecond; s != nil {
		fmt.Fprintf(w, "\nevaluated at %.0f and %.0f tokens/s\n", float64(s[0]), float64(s[1]))
	}
}

// printMetrics writes the figures of two models.
func (b *Behaviour) printMetrics(w io.Writer) {
	m := b.Metrics
	fmt.Fprintln(w)
	plus := func(f, u metrics.Figure, digits int) string { return figure(f, digits) + " ± " + figure(u, 2) }
	ui.Table(w, []string{fmt.Sprintf("model, %s tokens scored", ui.Count(int64(m.Tokens))), ">value"}, [][]string{
		{"perplexity of the baseline", plus(m.PPLBase, m.PPLBaseUncertainty, 5)},
		{"perplexity of the checkpoint", plus(m.PPLQuant, m.PPLQuantUncertainty, 5)},
		{"ln of their ratio", plus(m.LnPPLRatio, m.LnPPLRatioUncertainty, 3)},
		{"KL divergence, mean", plus(m.KLDMean, m.KLDMeanUncertainty, 3)},
		{"  median", figure(m.KLDMedian, 3)},
		{"  90 %, 99 %, 99.9 %", figure(m.KLDP90, 3) + ", " + figure(m.KLDP99, 3) + ", " + figure(m.KLDP999, 3)},
		{"  largest", figure(m.KLDMax, 3)},
		{"same likeliest token", percentFigure(m.SameTop) + " ± " + percentFigure(m.SameTopUncertainty)},
		{"common to the five likeliest", percentFigure(m.Top5Overlap)},
		{"change of the right token's probability, RMS", percentFigure(m.DeltaPRMS)},
		{"  1 %, 99 %", percentFigure(m.DeltaPP1) + ", " + percentFigure(m.DeltaPP99)},
	})
}

// printStatic writes the figures of static scales beside those of dynamic ones.
func (b *Behaviour) printStatic(w io.Writer) {
	d, s := b.Metrics, b.Static
	fmt.Fprintln(w)
	ui.Table(w, []string{"activations in FP8", ">dynamic scales", ">static scales"}, sideBySide(d, s, b.MTP, b.StaticMTP))
}

// printSingle writes the figures of one model.
func (b *Behaviour) printSingle(w io.Writer) {
	s := b.Single
	fmt.Fprintf(w, "\nmodel: %s tokens scored, perplexity %s ± %s, %s of them predicted\n", ui.Count(int64(s.Metrics.Tokens)), figure(s.Metrics.PPL, 5), figure(s.Metrics.PPLUncertainty, 2), percentFigure(s.Metrics.Accuracy))
	if s.MTP != nil {
		fmt.Fprintf(w, "multi-token prediction: acceptance %s ± %s, teacher-forced\n", percentFigure(s.MTP.Rate), percentFigure(s.MTP.Uncertainty))
	}
	if len(s.Load) > 0 {
		fmt.Fprintln(w)
		var rows [][]string
		for _, l := range s.Load {
			idle := 0
			for _, n := range l.Load {
				if n == 0 {
					idle++
				}
			}
			rows = append(rows, []string{strconv.Itoa(l.Layer), imbalance(l.Load), fmt.Sprintf("%d of %d", idle, len(l.Load))})
		}
		ui.Table(w, []string{">layer", ">load max/mean", ">experts never chosen"}, rows)
	}
	fmt.Fprintf(w, "\nevaluated at %.0f tokens/s\n", float64(s.TokensPerSecond))
}

// sideBySide are the figures of one comparison beside those of another.
func sideBySide(a, b *metrics.Summary, drafts, others *evaluation.MTP) [][]string {
	rows := [][]string{
		{"perplexity of the checkpoint", figure(a.PPLQuant, 5), figure(b.PPLQuant, 5)},
		{"KL divergence, mean", figure(a.KLDMean, 3), figure(b.KLDMean, 3)},
		{"  median", figure(a.KLDMedian, 3), figure(b.KLDMedian, 3)},
		{"  99 %", figure(a.KLDP99, 3), figure(b.KLDP99, 3)},
		{"same likeliest token", percentFigure(a.SameTop), percentFigure(b.SameTop)},
	}
	if drafts != nil && others != nil {
		rows = append(rows, []string{"acceptance of drafts", percentFigure(drafts.AcceptanceQuant), percentFigure(others.AcceptanceQuant)})
	}
	return rows
}

// printDeployment writes the figures of weights alone beside those with inputs rounded,
// and how they are.
func (b *Behaviour) printDeployment(w io.Writer) {
	head := []string{"of the checkpoint", ">weights only", ">as engines compute"}
	if d := b.Deployment; d != nil {
		fmt.Fprintln(w)
		ui.Table(w, head, sideBySide(b.Metrics, d, b.MTP, b.DeploymentMTP))
	}
	if d := b.SingleDeployment; d != nil {
		s := b.Single
		rows := [][]string{
			{"perplexity", figure(s.Metrics.PPL, 5), figure(d.Metrics.PPL, 5)},
			{"predicted", percentFigure(s.Metrics.Accuracy), percentFigure(d.Metrics.Accuracy)},
		}
		if s.MTP != nil && d.MTP != nil {
			rows = append(rows, []string{"acceptance of drafts", percentFigure(s.MTP.Rate), percentFigure(d.MTP.Rate)})
		}
		fmt.Fprintln(w)
		ui.Table(w, head, rows)
	}
	if len(b.Rounded) == 0 {
		return
	}
	fmt.Fprintln(w, "\n"+b.InputWords()+":")
	for i := range b.Rounded {
		item(w, b.Rounded[i].String())
	}
}

// InputWords say what was done to the inputs that engines round.
func (b *Behaviour) InputWords() string {
	switch {
	case b.Deployment != nil || b.SingleDeployment != nil:
		return "inputs as engines compute"
	case b.Setup != nil && b.Setup.Activations == "bf16":
		return "engines round inputs, which was not emulated"
	}
	return "inputs were rounded as engines do"
}

// imbalance is the load of the busiest expert in units of the mean.
func imbalance(load []int64) string {
	top, sum := int64(0), int64(0)
	for _, n := range load {
		top, sum = max(top, n), sum+n
	}
	if sum == 0 {
		return "–"
	}
	return strconv.FormatFloat(float64(top)*float64(len(load))/float64(sum), 'f', 2, 64)
}

// figure writes f with so many significant digits.
func figure(f metrics.Figure, digits int) string {
	if f != f || f-f != 0 {
		return "–"
	}
	return strconv.FormatFloat(float64(f), 'g', digits, 64)
}

func percentFigure(f metrics.Figure) string {
	if f != f || f-f != 0 {
		return "–"
	}
	return strconv.FormatFloat(100*float64(f), 'f', 2, 64) + " %"
}
