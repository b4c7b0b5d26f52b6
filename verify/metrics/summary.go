package metrics

import "math"

// Summary is what a sample of tokens says about quant against base. Figures of
// perplexity and of the target's probability (ppl_…, ln_ppl_…, accuracy_…,
// delta_p_…) are over the tokens whose target is known, the others over all.
//
// Without tokens every figure is null; with one token every uncertainty is. Where
// quant excludes what base allows, KLDMax and the mean are infinite, which is null
// too, and KLDInfinite counts those tokens.
type Summary struct {
	Tokens int `json:"tokens"`

	// Perplexity, exp of the mean NLL. The ratio is quant/base, the difference
	// quant−base; the correlation is that of the NLLs.
	PPLBase               Figure `json:"ppl_base"`
	PPLBaseUncertainty    Figure `json:"ppl_base_uncertainty"`
	PPLQuant              Figure `json:"ppl_quant"`
	PPLQuantUncertainty   Figure `json:"ppl_quant_uncertainty"`
	PPLRatio              Figure `json:"ppl_ratio"`
	PPLRatioUncertainty   Figure `json:"ppl_ratio_uncertainty"`
	PPLDiff               Figure `json:"ppl_diff"`
	PPLDiffUncertainty    Figure `json:"ppl_diff_uncertainty"`
	LnPPLRatio            Figure `json:"ln_ppl_ratio"`
	LnPPLRatioUncertainty Figure `json:"ln_ppl_ratio_uncertainty"`
	LnPPLCorrelation      Figure `json:"ln_ppl_correlation"`

	KLDMean            Figure `json:"kld_mean"`
	KLDMeanUncertainty Figure `json:"kld_mean_uncertainty"`
	KLDMin             Figure `json:"kld_min"`
	KLDP1              Figure `json:"kld_p1"`
	KLDP5              Figure `json:"kld_p5"`
	KLDP10             Figure `json:"kld_p10"`
	KLDMedian          Figure `json:"kld_median"`
	KLDP90             Figure `json:"kld_p90"`
	KLDP95             Figure `json:"kld_p95"`
	KLDP99             Figure `json:"kld_p99"`
	KLDP999            Figure `json:"kld_p999"`
	KLDMax             Figure `json:"kld_max"`
	KLDInfinite        int    `json:"kld_infinite"`

	// SameTop is the share of tokens with the same likeliest id, Top5Overlap the
	// mean |∩|/5 of the five likeliest, Accuracy how often the likeliest follows.
	SameTop            Figure `json:"same_top"`
	SameTopUncertainty Figure `json:"same_top_uncertainty"`
	Top5Overlap        Figure `json:"top5_overlap"`
	AccuracyBase       Figure `json:"accuracy_base"`
	AccuracyQuant      Figure `json:"accuracy_quant"`

	// DeltaP is the target's probability under quant less that under base. P01 and
	// P999 are the percentiles 0.1 % and 99.9 %.
	DeltaPMean            Figure `json:"delta_p_mean"`
	DeltaPMeanUncertainty Figure `json:"delta_p_mean_uncertainty"`
	DeltaPRMS             Figure `json:"delta_p_rms"`
	DeltaPRMSUncertainty  Figure `json:"delta_p_rms_uncertainty"`
	DeltaPMin             Figure `json:"delta_p_min"`
	DeltaPP01             Figure `json:"delta_p_p01"`
	DeltaPP1              Figure `json:"delta_p_p1"`
	DeltaPP5              Figure `json:"delta_p_p5"`
	DeltaPP10             Figure `json:"delta_p_p10"`
	DeltaPP25             Figure `json:"delta_p_p25"`
	DeltaPMedian          Figure `json:"delta_p_median"`
	DeltaPP75             Figure `json:"delta_p_p75"`
	DeltaPP90             Figure `json:"delta_p_p90"`
	DeltaPP95             Figure `json:"delta_p_p95"`
	DeltaPP99             Figure `json:"delta_p_p99"`
	DeltaPP999            Figure `json:"delta_p_p999"`
	DeltaPMax             Figure `json:"delta_p_max"`
}

// Summarize makes figures of tokens. It adds in the order of tokens, so the same
// tokens in the same order give the same bits.
func Summarize(tokens []Token) Summary {
	s := Summary{Tokens: len(tokens)}
	s.divergence(tokens)
	s.agreement(tokens)
	known := make([]Token, 0, len(tokens))
	for i := range tokens {
		if tokens[i].Target >= 0 {
			known = append(known, tokens[i])
		}
	}
	s.perplexity(known)
	s.probability(known)
	return s
}

func (s *Summary) divergence(tokens []Token) {
	m := measure(len(tokens), func(i int) float64 { return tokens[i].KLD })
	s.KLDMean, s.KLDMeanUncertainty = Figure(m.mean), Figure(m.err)
	values := make([]float64, len(tokens))
	for i := range tokens {
		values[i] = tokens[i].KLD
		if math.IsInf(values[i], 1) {
			s.KLDInfinite++
		}
	}
	p := sorted(values)
	s.KLDMin, s.KLDMax, s.KLDMedian = p.at(0), p.at(1), p.at(0.5)
	s.KLDP1, s.KLDP5, s.KLDP10 = p.at(0.01), p.at(0.05), p.at(0.1)
	s.KLDP90, s.KLDP95, s.KLDP99, s.KLDP999 = p.at(0.9), p.at(0.95), p.at(0.99), p.at(0.999)
}

func (s *Summary) agreement(tokens []Token) {
	same, five := 0, 0
	for i := range tokens {
		if tokens[i].TopBase == tokens[i].TopQuant {
			same++
		}
		five += tokens[i].Top5
	}
	m := share(same, len(tokens))
	s.SameTop, s.SameTopUncertainty = Figure(m.mean), Figure(m.err)
	s.Top5Overlap = Figure(float64(five) / places / float64(len(tokens)))
}

// perplexity takes uncertainties of what is formed of both NLLs from the values
// token by token, which is what σ²+σ²−2cov is, without its cancellation.
func (s *Summary) perplexity(known []Token) {
	n := len(known)
	base := func(i int) float64 { return known[i].NLLBase }
	quant := func(i int) float64 { return known[i].NLLQuant }
	b, q := measure(n, base), measure(n, quant)
	pb, pq := math.Exp(b.mean), math.Exp(q.mean)
	s.PPLBase, s.PPLBaseUncertainty = Figure(pb), Figure(pb*b.err)
	s.PPLQuant, s.PPLQuantUncertainty = Figure(pq), Figure(pq*q.err)

	ln := measure(n, func(i int) float64 { return known[i].NLLQuant - known[i].NLLBase })
	s.LnPPLRatio, s.LnPPLRatioUncertainty = Figure(ln.mean), Figure(ln.err)
	s.PPLRatio, s.PPLRatioUncertainty = Figure(math.Exp(ln.mean)), Figure(math.Exp(ln.mean)*ln.err)
	s.PPLDiff = Figure(pq - pb)
	s.PPLDiffUncertainty = Figure(measure(n, func(i int) float64 { return pq*known[i].NLLQuant - pb*known[i].NLLBase }).err)
	s.LnPPLCorrelation = Figure(correlation(n, base, quant))
}

func (s *Summary) probability(known []Token) {
	n := len(known)
	base, quant := 0, 0
	values := make([]float64, n)
	for i := range known {
		t := &known[i]
		values[i] = t.PQuant - t.PBase
		if t.TopBase == t.Target {
			base++
		}
		if t.TopQuant == t.Target {
			quant++
		}
	}
	s.AccuracyBase, s.AccuracyQuant = Figure(share(base, n).mean), Figure(share(quant, n).mean)

	m := measure(n, func(i int) float64 { return values[i] })
	s.DeltaPMean, s.DeltaPMeanUncertainty = Figure(m.mean), Figure(m.err)
	m = measure(n, func(i int) float64 { return values[i] * values[i] })
	rms := math.Sqrt(m.mean)
	s.DeltaPRMS, s.DeltaPRMSUncertainty = Figure(rms), Figure(0.5/rms*m.err)
	if m.err == 0 {
		s.DeltaPRMSUncertainty = 0 // also where rms is 0
	}
	p := sorted(values)
	s.DeltaPMin, s.DeltaPMax, s.DeltaPMedian = p.at(0), p.at(1), p.at(0.5)
	s.DeltaPP01, s.DeltaPP1, s.DeltaPP5 = p.at(0.001), p.at(0.01), p.at(0.05)
	s.DeltaPP10, s.DeltaPP25, s.DeltaPP75, s.DeltaPP90 = p.at(0.1), p.at(0.25), p.at(0.75), p.at(0.9)
	s.DeltaPP95, s.DeltaPP99, s.DeltaPP999 = p.at(0.95), p.at(0.99), p.at(0.999)
}

// OneSummary is what a sample of tokens says about one model. Perplexity and
// accuracy are over the tokens whose target is known, the entropy over all.
type OneSummary struct {
	Tokens         int    `json:"tokens"`
	PPL            Figure `json:"ppl"`
	PPLUncertainty Figure `json:"ppl_uncertainty"`
	Accuracy       Figure `json:"accuracy"`
	EntropyMean    Figure `json:"entropy_mean"`
}

// SummarizeOne is [Summarize] for one model.
func SummarizeOne(tokens []OneToken) OneSummary {
	s := OneSummary{Tokens: len(tokens)}
	s.EntropyMean = Figure(measure(len(tokens), func(i int) float64 { return tokens[i].Entropy }).mean)
	var nll []float64
	right := 0
	for i := range tokens {
		if t := &tokens[i]; t.Target >= 0 {
			nll = append(nll, t.NLL)
			if t.Top == t.Target {
				right++
			}
		}
	}
	m := measure(len(nll), func(i int) float64 { return nll[i] })
	s.PPL = Figure(math.Exp(m.mean))
	s.PPLUncertainty = s.PPL * Figure(m.err)
	s.Accuracy = Figure(share(right, len(nll)).mean)
	return s
}
