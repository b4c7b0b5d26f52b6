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
	Chunks int `json:"chunks"` // pieces of text that the tokens stand in

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

	KLDMean              Figure `json:"kld_mean"`
	KLDMeanUncertainty   Figure `json:"kld_mean_uncertainty"`
	KLDMin               Figure `json:"kld_min"`
	KLDP1                Figure `json:"kld_p1"`
	KLDP5                Figure `json:"kld_p5"`
	KLDP10               Figure `json:"kld_p10"`
	KLDMedian            Figure `json:"kld_median"`
	KLDMedianUncertainty Figure `json:"kld_median_uncertainty"`
	KLDP90               Figure `json:"kld_p90"`
	KLDP95               Figure `json:"kld_p95"`
	KLDP99               Figure `json:"kld_p99"`
	KLDP999              Figure `json:"kld_p999"`
	KLDMax               Figure `json:"kld_max"`
	KLDInfinite          int    `json:"kld_infinite"`

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
	for i := range tokens {
		if i == 0 || tokens[i].Chunk != tokens[i-1].Chunk {
			s.Chunks++
		}
	}
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
	kld, chunk := func(i int) float64 { return tokens[i].KLD }, func(i int) int { return tokens[i].Chunk }
	m := measure(len(tokens), kld, chunk)
	s.KLDMean, s.KLDMeanUncertainty = Figure(m.mean), Figure(m.err)
	values := make([]float64, len(tokens))
	for i := range tokens {
		values[i] = tokens[i].KLD
		if math.IsInf(values[i], 1) {
			s.KLDInfinite++
		}
	}
	p := sorted(values)
	s.KLDMin, s.KLDMax = p.at(0), p.at(1)
	s.KLDMedian, s.KLDMedianUncertainty = median(p, len(tokens), kld, chunk)
	s.KLDP1, s.KLDP5, s.KLDP10 = p.at(0.01), p.at(0.05), p.at(0.1)
	s.KLDP90, s.KLDP95, s.KLDP99, s.KLDP999 = p.at(0.9), p.at(0.95), p.at(0.99), p.at(0.999)
}

func (s *Summary) agreement(tokens []Token) {
	five := 0
	for i := range tokens {
		five += tokens[i].Top5
	}
	m := share(len(tokens), func(i int) bool { return tokens[i].TopBase == tokens[i].TopQuant }, func(i int) int { return tokens[i].Chunk })
	s.SameTop, s.SameTopUncertainty = Figure(m.mean), Figure(m.err)
	s.Top5Overlap = Figure(float64(five) / places / float64(len(tokens)))
}

// perplexity takes uncertainties of what is formed of both NLLs from the values
// token by token, which is what σ²+σ²−2cov is, without its cancellation.
func (s *Summary) perplexity(known []Token) {
	n := len(known)
	base := func(i int) float64 { return known[i].NLLBase }
	quant := func(i int) float64 { return known[i].NLLQuant }
	chunk := func(i int) int { return known[i].Chunk }
	b, q := measure(n, base, chunk), measure(n, quant, chunk)
	pb, pq := math.Exp(b.mean), math.Exp(q.mean)
	s.PPLBase, s.PPLBaseUncertainty = Figure(pb), Figure(pb*b.err)
	s.PPLQuant, s.PPLQuantUncertainty = Figure(pq), Figure(pq*q.err)

	ln := measure(n, func(i int) float64 { return known[i].NLLQuant - known[i].NLLBase }, chunk)
	s.LnPPLRatio, s.LnPPLRatioUncertainty = Figure(ln.mean), Figure(ln.err)
	s.PPLRatio, s.PPLRatioUncertainty = Figure(math.Exp(ln.mean)), Figure(math.Exp(ln.mean)*ln.err)
	s.PPLDiff = Figure(pq - pb)
	s.PPLDiffUncertainty = Figure(measure(n, func(i int) float64 { return pq*known[i].NLLQuant - pb*known[i].NLLBase }, chunk).err)
	s.LnPPLCorrelation = Figure(correlation(n, base, quant))
}

func (s *Summary) probability(known []Token) {
	n := len(known)
	chunk := func(i int) int { return known[i].Chunk }
	values := make([]float64, n)
	for i := range known {
		t := &known[i]
		values[i] = t.PQuant - t.PBase
	}
	s.AccuracyBase = Figure(share(n, func(i int) bool { return known[i].TopBase == known[i].Target }, chunk).mean)
	s.AccuracyQuant = Figure(share(n, func(i int) bool { return known[i].TopQuant == known[i].Target }, chunk).mean)

	m := measure(n, func(i int) float64 { return values[i] }, chunk)
	s.DeltaPMean, s.DeltaPMeanUncertainty = Figure(m.mean), Figure(m.err)
	m = measure(n, func(i int) float64 { return values[i] * values[i] }, chunk)
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
	s.EntropyMean = Figure(average(len(tokens), func(i int) float64 { return tokens[i].Entropy }))
	known := make([]OneToken, 0, len(tokens))
	for i := range tokens {
		if tokens[i].Target >= 0 {
			known = append(known, tokens[i])
		}
	}
	chunk := func(i int) int { return known[i].Chunk }
	m := measure(len(known), func(i int) float64 { return known[i].NLL }, chunk)
	s.PPL = Figure(math.Exp(m.mean))
	s.PPLUncertainty = s.PPL * Figure(m.err)
	s.Accuracy = Figure(share(len(known), func(i int) bool { return known[i].Top == known[i].Target }, chunk).mean)
	return s
}
