package report

import (
	"fmt"
	"math"

	"quern/internal/page"
	"quern/internal/svg"
	"quern/verify"
	"quern/verify/metrics"
)

// model shows perplexity and agreement of two models.
func model(r *verify.Report) *section {
	m := r.Metrics
	if m == nil {
		return nil
	}
	s := &section{ID: "model", Title: "Predictions", Sum: "perplexity " + digits(m.PPLQuant, 4) + ", baseline " + digits(m.PPLBase, 4)}
	s.prose(perplexityWords(m))
	t := newTable("Perplexity", "", ">baseline", ">checkpoint", ">difference")
	pair := func(name, note, base, quant, diff string) {
		t.row(cell{Text: name, Note: note, Class: "name"}, base, quant, diff)
	}
	pair("perplexity", "exp of the mean negative log-likelihood", plusMinus(m.PPLBase, m.PPLBaseUncertainty), plusMinus(m.PPLQuant, m.PPLQuantUncertainty), signed(plusMinus(m.PPLDiff, m.PPLDiffUncertainty)))
	pair("right tokens", "the likeliest token is the one that follows", percent(m.AccuracyBase), percent(m.AccuracyQuant), points(m.AccuracyQuant-m.AccuracyBase))
	t.Note = "± is one standard error. The errors of baseline and checkpoint go together, as both read the same tokens; that of the difference takes it into account."
	s.add(t.stack().block())
	s.add(block{Head: "Agreement", Values: []fact{
		{Term: "same likeliest token", Text: percentPlusMinus(m.SameTop, m.SameTopUncertainty)},
		{Term: "five likeliest, shared", Text: percent(m.Top5Overlap)},
		{Term: "ln of the perplexities’ ratio", Text: signed(plusMinus(m.LnPPLRatio, m.LnPPLRatioUncertainty))},
		{Term: "correlation of ln p", Text: figureOf(m.LnPPLCorrelation)},
	}})

	s.add(block{Head: "Δp: probability of the token that follows, checkpoint less baseline", Values: []fact{
		{Term: "mean", Text: signed(percentPlusMinus(m.DeltaPMean, m.DeltaPMeanUncertainty))},
		{Term: "RMS", Text: percentPlusMinus(m.DeltaPRMS, m.DeltaPRMSUncertainty)},
		{Term: "minimum", Text: percent(m.DeltaPMin)},
		{Term: "0.1\u202f%", Text: percent(m.DeltaPP01)},
		{Term: "1\u202f%", Text: percent(m.DeltaPP1)},
		{Term: "5\u202f%", Text: percent(m.DeltaPP5)},
		{Term: "10\u202f%", Text: percent(m.DeltaPP10)},
		{Term: "25\u202f%", Text: percent(m.DeltaPP25)},
		{Term: "median", Text: percent(m.DeltaPMedian)},
		{Term: "75\u202f%", Text: percent(m.DeltaPP75)},
		{Term: "90\u202f%", Text: percent(m.DeltaPP90)},
		{Term: "95\u202f%", Text: percent(m.DeltaPP95)},
		{Term: "99\u202f%", Text: percent(m.DeltaPP99)},
		{Term: "99.9\u202f%", Text: percent(m.DeltaPP999)},
		{Term: "maximum", Text: percent(m.DeltaPMax)},
	}})
	return s
}

// perplexityWords say whether the difference of perplexities is one.
func perplexityWords(m *metrics.Summary) string {
	head := fmt.Sprintf("Both models read %s.", page.Plural(int64(m.Tokens), "token", "tokens"))
	ln, err := float64(m.LnPPLRatio), float64(m.LnPPLRatioUncertainty)
	if !known(ln) {
		return head
	}
	if ln == 0 {
		return head + " Their perplexities are equal."
	}
	verb := "higher"
	if ln < 0 {
		verb = "lower"
	}
	ratio := math.Abs(math.Expm1(ln))
	text := fmt.Sprintf("%s The checkpoint’s perplexity is %s\u202f%% %s than the baseline’s", head, digits(100*ratio, 3), verb)
	if known(err) && err > 0 {
		text += fmt.Sprintf(" (±\u00a0%s\u202f%%)", digits(100*err, 2))
		if math.Abs(ln) < 2*err {
			text += ": less than two standard errors, so these texts do not tell them apart by it"
		}
	}
	return text + "."
}

// anchors are figures of llama-perplexity for Llama-3-8B on wikitext-2 against F16
// (llama.cpp, examples/perplexity/README.md; BF16: llama.cpp pull request 7150).
// Figures have the digits that they were published with.
var anchors = []struct {
	name, text string
	kld        float64
	same       string // percent; "" where none is given
}{
	{"BF16", "0.000025", 0.000025, "99.74"},
	{"q8_0", "0.001355", 0.001355, "97.67"},
	{"q6_K", "0.005452", 0.005452, "96.03"},
	{"q5_K_M", "0.010762", 0.010762, ""},
	{"q4_K_M", "0.031273", 0.031273, "91.9"},
	{"q4_0", "0.0719", 0.0719, ""},
	{"q3_K_M", "0.1019", 0.1019, ""},
}

// divergence shows the KL divergence: figures, distribution, anchors.
func divergence(r *verify.Report) *section {
	m := r.Metrics
	if m == nil {
		return nil
	}
	s := &section{ID: "divergence", Title: "KL divergence"}
	s.prose("How far the checkpoint’s prediction of a token is from the baseline’s, in nats: 0 when both are the same. The mean is made by few tokens far apart, the median says what is typical.")
	s.add(block{Head: "Percentiles over all tokens", Values: []fact{
		{Term: "mean", Text: plusMinus(m.KLDMean, m.KLDMeanUncertainty)},
		{Term: "minimum", Text: digits(m.KLDMin, 3)},
		{Term: "1\u202f%", Text: digits(m.KLDP1, 3)},
		{Term: "5\u202f%", Text: digits(m.KLDP5, 3)},
		{Term: "10\u202f%", Text: digits(m.KLDP10, 3)},
		{Term: "median", Text: figureOf(m.KLDMedian)},
		{Term: "90\u202f%", Text: figureOf(m.KLDP90)},
		{Term: "95\u202f%", Text: figureOf(m.KLDP95)},
		{Term: "99\u202f%", Text: figureOf(m.KLDP99)},
		{Term: "99.9\u202f%", Text: figureOf(m.KLDP999)},
		{Term: "maximum", Text: figureOf(m.KLDMax)},
	}})
	if m.KLDInfinite > 0 {
		s.prose(fmt.Sprintf("At %s the checkpoint excludes what the baseline allows: the divergence is infinite there, and so are mean and maximum.", page.Plural(int64(m.KLDInfinite), "token", "tokens")))
	}
	if r.Histogram != nil {
		s.add(histogram(r.Histogram, m)...)
	}
	s.add(anchorTable(m).block())
	return s
}

// anchorTable sets the run among figures of others.
func anchorTable(m *metrics.Summary) *table {
	t := newTable("For orientation", "", ">mean KLD", ">same likeliest", "mean KLD, logarithmic")
	t.Note = "The others are llama-perplexity’s figures for Llama-3-8B on wikitext-2 against F16: another model and another text. They show the order of magnitude, nothing more."
	scale := svg.Decades(1e-5, 1, 5)
	add := func(name, text string, kld float64, same string, strong bool) {
		length := 0.0
		if known(kld) && kld > 0 {
			length = (math.Log10(kld) - math.Log10(scale.Lo)) / (math.Log10(scale.Hi) - math.Log10(scale.Lo))
		}
		kind := svg.Hollow
		if strong {
			kind = svg.Solid
		}
		b := svg.Bars{Bars: []svg.Bar{{Length: min(max(length, 0), 1), Kind: kind}}}
		t.row(name, text, same, cell{Chart: b.HTML(), Class: "bar"}).Strong = strong
	}
	rows := anchors
	own := len(rows)
	for i := range rows {
		if float64(m.KLDMean) < rows[i].kld {
			own = i
			break
		}
	}
	for i := range len(rows) + 1 {
		if i == own {
			add("▸ this checkpoint", figureOf(m.KLDMean), float64(m.KLDMean), percent(m.SameTop), true)
		}
		if i < len(rows) {
			same := none
			if rows[i].same != "" {
				same = rows[i].same + "\u202f%"
			}
			add(rows[i].name, rows[i].text, rows[i].kld, same, false)
		}
	}
	return t
}
