package report

import (
	"quern/internal/page"
	"quern/verify"
	"quern/verify/evaluation"
	"quern/verify/metrics"
)

// deployment shows the figures of weights alone beside those with inputs rounded as
// engines do, and with scales of the checkpoint that engines do not take.
func deployment(r *verify.Report) *section {
	if len(r.Rounded) == 0 {
		return nil
	}
	s := &section{ID: "deployment", Title: "Inputs", Sum: r.InputWords()}
	b := block{Head: capital(r.InputWords())}
	for i := range r.Rounded {
		b.Lines = append(b.Lines, page.Visible(capital(r.Rounded[i].String())))
	}
	if d := r.Deployment; d != nil && r.Metrics != nil {
		s.Sum = "mean KL divergence " + figureOf(d.KLDMean) + ", of weights alone " + figureOf(r.Metrics.KLDMean)
		s.add(beside("", "weights only", "as engines compute", r.Metrics, d, r.MTP, r.DeploymentMTP).block())
	}
	if d := r.SingleDeployment; d != nil && r.Single != nil {
		t := newTable("", "", ">weights only", ">as engines compute")
		t.row("perplexity", plusMinus(r.Single.Metrics.PPL, r.Single.Metrics.PPLUncertainty), plusMinus(d.Metrics.PPL, d.Metrics.PPLUncertainty))
		t.row("right tokens", percent(r.Single.Metrics.Accuracy), percent(d.Metrics.Accuracy))
		if r.Single.MTP != nil && d.MTP != nil {
			t.row("acceptance of drafts", percent(r.Single.MTP.Rate), percent(d.MTP.Rate))
		}
		s.add(t.block())
	}
	s.add(b)
	if d := r.Static; d != nil && r.Metrics != nil {
		s.add(beside("Activations in FP8", "dynamic scales", "static scales", r.Metrics, d, r.MTP, r.StaticMTP).block())
	}
	return s
}

// beside is a table of two comparisons with one baseline.
func beside(title, one, other string, a, b *metrics.Summary, drafts, others *evaluation.MTP) *table {
	t := newTable(title, "", ">"+one, ">"+other)
	t.row("perplexity of the checkpoint", plusMinus(a.PPLQuant, a.PPLQuantUncertainty), plusMinus(b.PPLQuant, b.PPLQuantUncertainty))
	t.row("KL divergence, mean", plusMinus(a.KLDMean, a.KLDMeanUncertainty), plusMinus(b.KLDMean, b.KLDMeanUncertainty))
	t.row("median", figureOf(a.KLDMedian), figureOf(b.KLDMedian))
	t.row("99\u202f%", figureOf(a.KLDP99), figureOf(b.KLDP99))
	t.row("same likeliest token", percentPlusMinus(a.SameTop, a.SameTopUncertainty), percentPlusMinus(b.SameTop, b.SameTopUncertainty))
	if drafts != nil && others != nil {
		t.row("acceptance of drafts", percent(drafts.AcceptanceQuant), percent(others.AcceptanceQuant))
	}
	t.Note = "Gates judge the first column."
	return t
}
