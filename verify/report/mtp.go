package report

import (
	"fmt"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/verify"
)

// teacherForced is what one has to know of the figure.
const teacherForced = "Measured with the true text before every token. On text that the model has not written itself acceptance is lower than what servers report; what counts is the difference between two models on the same text."

// prediction shows how multi-token prediction fares.
func prediction(r *verify.Report) *section {
	m := r.MTP
	if m == nil || m.Tokens == 0 {
		return nil
	}
	s := &section{ID: "mtp", Title: "Multi-token prediction", Sum: "acceptance " + percent(m.AcceptanceQuant) + ", baseline " + percent(m.AcceptanceBase)}
	s.prose(fmt.Sprintf("The share of drafted tokens that the main model then says itself. With one draft a step, a pass makes 1 + acceptance tokens: %s with the baseline, %s with the checkpoint.",
		digits(1+m.AcceptanceBase, 4), digits(1+m.AcceptanceQuant, 4)))
	lo, hi, ok := svg.Span([]float64{
		float64(m.AcceptanceBase), float64(m.AcceptanceBase - m.UncertaintyBase), float64(m.AcceptanceBase + m.UncertaintyBase),
		float64(m.AcceptanceQuant), float64(m.AcceptanceQuant - m.UncertaintyQuant), float64(m.AcceptanceQuant + m.UncertaintyQuant),
	})
	if ok {
		pad := (hi-lo)/4 + 0.002
		v := svg.Intervals{
			Title: "Acceptance of multi-token prediction",
			Desc:  fmt.Sprintf("Baseline %s, checkpoint %s.", percentPlusMinus(m.AcceptanceBase, m.UncertaintyBase), percentPlusMinus(m.AcceptanceQuant, m.UncertaintyQuant)),
			X:     svg.Linear(max(0, lo-pad), min(1, hi+pad), 5, wholePercent),
			Rows: []svg.Interval{
				{Label: "baseline", Note: percentPlusMinus(m.AcceptanceBase, m.UncertaintyBase), Kind: svg.Hollow, Value: float64(m.AcceptanceBase), Err: float64(m.UncertaintyBase)},
				{Label: "checkpoint", Note: percentPlusMinus(m.AcceptanceQuant, m.UncertaintyQuant), Kind: svg.Solid, Value: float64(m.AcceptanceQuant), Err: float64(m.UncertaintyQuant)},
			},
		}
		v.X.Name = "drafts accepted"
		s.add(block{Figure: &figure{Title: "Acceptance", Chart: v.HTML(), Note: fmt.Sprintf("Of %s; with the standard error. The scale does not begin at 0.", page.Plural(int64(m.Tokens), "draft", "drafts"))}})
	}
	t := newTable("", "", ">baseline", ">checkpoint", ">difference")
	t.row("acceptance", percentPlusMinus(m.AcceptanceBase, m.UncertaintyBase), percentPlusMinus(m.AcceptanceQuant, m.UncertaintyQuant), points(m.AcceptanceQuant-m.AcceptanceBase))
	t.row("tokens a pass, one draft", digits(1+m.AcceptanceBase, 4), digits(1+m.AcceptanceQuant, 4), relativeChange(float64(m.AcceptanceBase), float64(m.AcceptanceQuant)))
	s.add(t.stack().block())
	s.prose(teacherForced)
	return s
}

// relativeChange is by how much a pass makes more tokens.
func relativeChange(base, quant float64) string {
	if !known(base) || !known(quant) {
		return none
	}
	return signed(fixed(100*((1+quant)/(1+base)-1), 2)) + "\u202f%"
}
