package report

import (
	"fmt"
	"strconv"

	"quern/internal/page"
	"quern/verify"
)

// single shows what one model makes of texts.
func single(r *verify.Report) *section {
	m := r.Single
	if m == nil {
		return nil
	}
	s := &section{ID: "model", Title: "Predictions"}
	s.prose(fmt.Sprintf("The checkpoint read %s by itself. Without a baseline these figures say nothing about what quantization has cost.", page.Plural(int64(m.Metrics.Tokens), "token", "tokens")))
	t := newTable("By text", "text", ">tokens", ">scored", ">perplexity", ">right tokens", ">entropy, nats")
	for _, x := range few(m.Texts, maxTexts) {
		t.row(code(x.Name), count(x.Tokens), count(x.Metrics.Tokens), plusMinus(x.Metrics.PPL, x.Metrics.PPLUncertainty), percent(x.Metrics.Accuracy), figureOf(x.Metrics.EntropyMean))
	}
	if more := len(m.Texts) - len(t.Rows); more > 0 {
		t.Note = fmt.Sprintf("%s are left out here; the JSON output has them.", page.Plural(int64(more), "more text", "more texts"))
	}
	if len(m.Texts) != 1 {
		t.row("all", "", count(m.Metrics.Tokens), plusMinus(m.Metrics.PPL, m.Metrics.PPLUncertainty), percent(m.Metrics.Accuracy), figureOf(m.Metrics.EntropyMean)).Strong = true
	}
	s.add(t.block())
	if a := m.MTP; a != nil && a.Tokens > 0 {
		s.prose(fmt.Sprintf("Multi-token prediction: %s of %s drafts are what the model says itself (%s). One draft a step makes about %s tokens of each pass.",
			count(a.Accepted), count(a.Tokens), percentPlusMinus(a.Rate, a.Uncertainty), digits(1+a.Rate, 3)))
		s.prose(teacherForced)
	}
	if len(m.Load) > 0 {
		s.add(loadMap(m.Load)...)
		t := newTable("Load of experts by layer", ">layer", ">experts", ">max/mean load", ">never chosen")
		t.Folded = len(m.Load) > 12
		for _, l := range few(m.Load, maxLayers) {
			never := 0
			for _, n := range l.Load {
				if n == 0 {
					never++
				}
			}
			t.row(strconv.Itoa(l.Layer), count(len(l.Load)), imbalance(l.Load), count(never))
		}
		s.add(t.block())
	}
	return s
}
