package report

import (
	"strings"

	"quern/internal/page"
	"quern/internal/ui"
	"quern/verify"
)

// judgement is what the page says first.
type judgement struct {
	Class string // "pass", "fail" or "skip"
	Sign  string // says the same without colour
	Word  string
	Text  []string
}

// verdict says in words what the gates say, and no more than they do: a checkpoint that
// was not run is not called as good as its baseline.
func verdict(r *verify.Report) judgement {
	var failed, unchecked, undecided []string
	for i := range r.Gates {
		switch g := &r.Gates[i]; {
		case !g.Passed:
			what := page.Visible(g.Name)
			if w := gateWords[g.Name].fails; w != "" {
				what = w + " (" + what + ")"
			}
			failed = append(failed, what)
		case g.Skipped != "":
			unchecked = append(unchecked, page.Visible(g.Name)+" ("+page.Visible(g.Skipped)+")")
		case g.Undecided != "":
			undecided = append(undecided, page.Visible(g.Name))
		}
	}
	checked := len(r.Gates) - len(unchecked)
	var j judgement
	switch {
	case len(failed) > 0:
		j = judgement{Class: "fail", Sign: "✗", Word: "Do not ship"}
		j.Text = []string{count(len(failed)) + " of " + page.Plural(int64(checked), "gate", "gates") + " failed: " + strings.Join(failed, "; ") + "."}
	case checked == 0:
		j = judgement{Class: "skip", Sign: "–", Word: "Not judged"}
		j.Text = []string{"No gate applied to what was looked at."}
	case len(undecided) > 0:
		j = judgement{Class: "skip", Sign: "–", Word: "Not decided"}
		j.Text = []string{"No gate failed, but there were too few tokens to decide about " + strings.Join(undecided, ", ") + "."}
	case r.Metrics != nil:
		j = judgement{Class: "pass", Sign: "✓", Word: "May be shipped"}
		j.Text = []string{allPassed(checked, len(unchecked))}
	default:
		j = judgement{Class: "pass", Sign: "✓", Word: "No objection"}
		j.Text = []string{allPassed(checked, len(unchecked))}
		if r.Baseline == "" {
			j.Text = append(j.Text, "The checkpoint was looked at by itself: nothing says how near it is to what it was made from.")
		} else {
			j.Text = append(j.Text, "Weights were compared and models not run: nothing says what the differences do to predictions.")
		}
	}
	if len(unchecked) > 0 && checked > 0 {
		j.Text = append(j.Text, "Not checked: "+strings.Join(unchecked, ", ")+".")
	}
	if n := len(r.Warnings); n > 0 {
		j.Text = append(j.Text, "There "+pick(n, "is ", "are ")+page.Plural(int64(n), "warning", "warnings")+".")
	}
	return j
}

func allPassed(n, unchecked int) string {
	apply := ""
	if unchecked > 0 {
		apply = " that " + pick(n, "applies", "apply")
	}
	if n == 1 {
		return "The gate" + apply + " is passed."
	}
	return "All " + count(n) + " gates" + apply + " are passed."
}

// keyFigures are the numbers that people look for first.
func keyFigures(r *verify.Report) []fact {
	var out []fact
	add := func(term, text, note string) { out = append(out, fact{term, text, note}) }
	if r.Bytes > 0 {
		note := page.Plural(int64(r.Tensors), "tensor", "tensors")
		if before, after := totals(r.Sizes); before > 0 {
			note = percent(float64(after)/float64(before)) + " of " + ui.Bytes(before)
		}
		add("size", ui.Bytes(r.Bytes), note)
	}
	if w := r.Weights; w != nil && w.Quantized > 0 {
		note := "all tensors are exact"
		if w.WorstSQNR != nil {
			note = "of " + page.Plural(int64(w.Quantized), "tensor", "tensors")
		}
		text := decibels(w.WorstSQNR)
		if w.WorstSQNR != nil {
			text += "\u202fdB"
		}
		add("worst SQNR", text, note)
	}
	if m := r.Metrics; m != nil {
		add("mean KL divergence", figureOf(m.KLDMean), "median "+figureOf(m.KLDMedian))
		add("same likeliest token", percent(m.SameTop), "of "+page.Plural(int64(m.Tokens), "token", "tokens"))
		if known(m.PPLBase) && known(m.PPLQuant) {
			add("perplexity", digits(m.PPLQuant, 4), "baseline "+digits(m.PPLBase, 4))
		}
	}
	if s := r.Single; s != nil {
		add("perplexity", digits(s.Metrics.PPL, 4), "of "+page.Plural(int64(s.Metrics.Tokens), "token", "tokens"))
		if m := s.MTP; m != nil && m.Tokens > 0 {
			add("MTP acceptance", percent(m.Rate), "of "+page.Plural(int64(m.Tokens), "draft", "drafts"))
		}
	}
	if m := r.MTP; m != nil && m.Tokens > 0 {
		add("MTP acceptance", percent(m.AcceptanceQuant), "baseline "+percent(m.AcceptanceBase))
	}
	if o := r.Reference; o != nil {
		add("max |Δ logit|", figureOf(o.MaxAbsLogitDiff), "against the reference")
	}
	return out
}
