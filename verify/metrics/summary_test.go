package metrics

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// sample returns tokens as a model and its quantized form give them.
func sample(t *testing.T, n int) []Token {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 8))
	tokens := make([]Token, n)
	for i := range tokens {
		base, quant := rows(r, 50, 3, 0.5)
		var err error
		if tokens[i], err = score(base, quant, r.IntN(50)); err != nil {
			t.Fatal(err)
		}
	}
	return tokens
}

func column(tokens []Token, f func(t *Token) float64) []float64 {
	x := make([]float64, len(tokens))
	for i := range tokens {
		x[i] = f(&tokens[i])
	}
	return x
}

// covariance of the means of two samples, as llama-perplexity has it.
func covariance(x, y []float64) float64 {
	n := float64(len(x))
	var mx, my, xy float64
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
		xy += x[i] * y[i] / n
	}
	return (xy - mx*my) / (n - 1)
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// rank is the percentile f by its definition.
func rank(x []float64, f float64) float64 {
	x = slices.Sorted(slices.Values(x))
	p := f * float64(len(x)-1)
	low, high := int(math.Floor(p)), int(math.Ceil(p))
	return x[low]*(1-(p-float64(low))) + x[high]*(p-float64(low))
}

// Summarize against the formulas of llama-perplexity (examples/perplexity), which
// puts together variances and covariances where Summarize does not.
func TestSummarizeFormulas(t *testing.T) {
	tokens := sample(t, 333)
	s := Summarize(tokens)
	base := column(tokens, func(t *Token) float64 { return t.NLLBase })
	quant := column(tokens, func(t *Token) float64 { return t.NLLQuant })
	kld := column(tokens, func(t *Token) float64 { return t.KLD })
	dp := column(tokens, func(t *Token) float64 { return t.PQuant - t.PBase })
	dp2 := column(tokens, func(t *Token) float64 { return (t.PQuant - t.PBase) * (t.PQuant - t.PBase) })
	pb, pq := math.Exp(mean(base)), math.Exp(mean(quant))
	vb, vq, cov := covariance(base, base), covariance(quant, quant), covariance(base, quant)
	ratio := mean(quant) - mean(base)
	ratioErr := math.Sqrt(vb + vq - 2*cov)
	rms := math.Sqrt(mean(dp2))
	same := mean(column(tokens, func(t *Token) float64 { return float64(boolInt(t.TopBase == t.TopQuant)) }))
	below := mean(column(tokens, func(t *Token) float64 { return float64(boolInt(t.KLD <= rank(kld, 0.5))) }))
	around := math.Sqrt(below * (1 - below) / 332) // of the share of values below the median
	figures := map[string]struct {
		got  Figure
		want float64
	}{
		"ppl_base": {s.PPLBase, pb}, "ppl_base_uncertainty": {s.PPLBaseUncertainty, pb * math.Sqrt(vb)},
		"ppl_quant": {s.PPLQuant, pq}, "ppl_quant_uncertainty": {s.PPLQuantUncertainty, pq * math.Sqrt(vq)},
		"ln_ppl_ratio": {s.LnPPLRatio, ratio}, "ln_ppl_ratio_uncertainty": {s.LnPPLRatioUncertainty, ratioErr},
		"ppl_ratio": {s.PPLRatio, math.Exp(ratio)}, "ppl_ratio_uncertainty": {s.PPLRatioUncertainty, math.Exp(ratio) * ratioErr},
		"ppl_diff": {s.PPLDiff, pq - pb}, "ppl_diff_uncertainty": {s.PPLDiffUncertainty, math.Sqrt(pb*pb*vb + pq*pq*vq - 2*pb*pq*cov)},
		"correlation": {s.LnPPLCorrelation, cov / math.Sqrt(vb*vq)},
		"kld_mean":    {s.KLDMean, mean(kld)}, "kld_mean_uncertainty": {s.KLDMeanUncertainty, math.Sqrt(covariance(kld, kld))},
		"kld_min": {s.KLDMin, slices.Min(kld)}, "kld_max": {s.KLDMax, slices.Max(kld)}, "kld_median": {s.KLDMedian, rank(kld, 0.5)},
		"kld_median_uncertainty": {s.KLDMedianUncertainty, (rank(kld, 0.5+around) - rank(kld, 0.5-around)) / 2},
		"kld_p1":                 {s.KLDP1, rank(kld, 0.01)}, "kld_p5": {s.KLDP5, rank(kld, 0.05)}, "kld_p10": {s.KLDP10, rank(kld, 0.1)},
		"kld_p90": {s.KLDP90, rank(kld, 0.9)}, "kld_p95": {s.KLDP95, rank(kld, 0.95)}, "kld_p99": {s.KLDP99, rank(kld, 0.99)}, "kld_p999": {s.KLDP999, rank(kld, 0.999)},
		"same_top": {s.SameTop, same}, "same_top_uncertainty": {s.SameTopUncertainty, math.Sqrt(same * (1 - same) / 332)},
		"top5_overlap":   {s.Top5Overlap, mean(column(tokens, func(t *Token) float64 { return float64(t.Top5) / 5 }))},
		"accuracy_base":  {s.AccuracyBase, mean(column(tokens, func(t *Token) float64 { return float64(boolInt(t.TopBase == t.Target)) }))},
		"accuracy_quant": {s.AccuracyQuant, mean(column(tokens, func(t *Token) float64 { return float64(boolInt(t.TopQuant == t.Target)) }))},
		"delta_p_mean":   {s.DeltaPMean, mean(dp)}, "delta_p_mean_uncertainty": {s.DeltaPMeanUncertainty, math.Sqrt(covariance(dp, dp))},
		"delta_p_rms": {s.DeltaPRMS, rms}, "delta_p_rms_uncertainty": {s.DeltaPRMSUncertainty, 0.5 / rms * math.Sqrt(covariance(dp2, dp2))},
		"delta_p_min": {s.DeltaPMin, slices.Min(dp)}, "delta_p_max": {s.DeltaPMax, slices.Max(dp)}, "delta_p_median": {s.DeltaPMedian, rank(dp, 0.5)},
		"delta_p_p01": {s.DeltaPP01, rank(dp, 0.001)}, "delta_p_p1": {s.DeltaPP1, rank(dp, 0.01)}, "delta_p_p5": {s.DeltaPP5, rank(dp, 0.05)},
		"delta_p_p10": {s.DeltaPP10, rank(dp, 0.1)}, "delta_p_p25": {s.DeltaPP25, rank(dp, 0.25)}, "delta_p_p75": {s.DeltaPP75, rank(dp, 0.75)}, "delta_p_p90": {s.DeltaPP90, rank(dp, 0.9)},
		"delta_p_p95": {s.DeltaPP95, rank(dp, 0.95)}, "delta_p_p99": {s.DeltaPP99, rank(dp, 0.99)}, "delta_p_p999": {s.DeltaPP999, rank(dp, 0.999)},
	}
	for name, c := range figures {
		if !(math.Abs(float64(c.got)-c.want) <= 1e-12*max(1, math.Abs(c.want))) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	// Nothing but three counts is left out above, and the tokens are as they were.
	if n := reflect.TypeFor[Summary]().NumField(); n != len(figures)+3 {
		t.Errorf("a Summary has %d fields, %d were checked", n, len(figures))
	}
	if !reflect.DeepEqual(tokens, sample(t, 333)) {
		t.Error("Summarize changed the tokens")
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fields returns the JSON of v by name.
func fields(t *testing.T, v any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The names that design and users rely on.
func TestSummaryNames(t *testing.T) {
	m := fields(t, Summarize(sample(t, 20)))
	for _, name := range strings.Split("tokens,ppl_base,ppl_quant,ln_ppl_ratio,ln_ppl_ratio_uncertainty,kld_mean,kld_mean_uncertainty,kld_min,kld_median,kld_p90,kld_p99,"+
		"kld_p999,kld_max,same_top,same_top_uncertainty,top5_overlap,delta_p_mean,delta_p_rms,delta_p_p1,delta_p_p99", ",") {
		if _, ok := m[name].(float64); !ok {
			t.Errorf("%s is %v", name, m[name])
		}
	}
}

// What has no value is null, and nothing is NaN or infinite.
func TestSummaryWithoutValues(t *testing.T) {
	counts := map[string]float64{"tokens": 0, "chunks": 0, "kld_infinite": 0}
	for name, v := range fields(t, Summarize(nil)) {
		if want, ok := counts[name]; ok && v != want || !ok && v != nil {
			t.Errorf("no tokens: %s is %v", name, v)
		}
	}
	one := sample(t, 1)
	for name, v := range fields(t, Summarize(one)) {
		null := strings.HasSuffix(name, "_uncertainty") || name == "ln_ppl_correlation"
		if (v == nil) != null {
			t.Errorf("one token: %s is %v", name, v)
		}
	}
	// Excluded by quant: the mean is not finite, the median is.
	three := append(sample(t, 2), Token{Target: -1, KLD: math.Inf(1)})
	m := fields(t, Summarize(three))
	for name, null := range map[string]bool{"kld_mean": true, "kld_mean_uncertainty": true, "kld_max": true, "kld_p90": true, "kld_median": false, "kld_min": false, "ppl_base": false} {
		if (m[name] == nil) != null {
			t.Errorf("an infinite divergence: %s is %v", name, m[name])
		}
	}
	if m["kld_infinite"] != 1.0 || m["tokens"] != 3.0 {
		t.Errorf("%v infinite of %v tokens", m["kld_infinite"], m["tokens"])
	}
	// The target of the third is not known: two are left.
	two := Summarize(three[:2])
	if s := Summarize(three); s.PPLBase != two.PPLBase || s.DeltaPRMS != two.DeltaPRMS || s.AccuracyQuant != two.AccuracyQuant {
		t.Errorf("%+v\nof two %+v", s, two)
	}
	for name, v := range fields(t, SummarizeOne(nil)) {
		if name != "tokens" && v != nil {
			t.Errorf("one model, no tokens: %s is %v", name, v)
		}
	}
}

// A model against itself.
func TestSummarySame(t *testing.T) {
	tokens := sample(t, 50)
	for i := range tokens {
		k := &tokens[i]
		k.KLD, k.Top5, k.NLLQuant, k.PQuant, k.TopQuant = 0, 5, k.NLLBase, k.PBase, k.TopBase
	}
	s := Summarize(tokens)
	for name, f := range map[string]Figure{
		"kld_mean": s.KLDMean, "kld_max": s.KLDMax, "kld_mean_uncertainty": s.KLDMeanUncertainty, "ln_ppl_ratio": s.LnPPLRatio,
		"ln_ppl_ratio_uncertainty": s.LnPPLRatioUncertainty, "ppl_diff": s.PPLDiff, "ppl_diff_uncertainty": s.PPLDiffUncertainty,
		"delta_p_rms": s.DeltaPRMS, "delta_p_rms_uncertainty": s.DeltaPRMSUncertainty, "same_top_uncertainty": s.SameTopUncertainty,
		"1 - same_top": 1 - s.SameTop, "1 - ppl_ratio": 1 - s.PPLRatio, "1 - correlation": 1 - s.LnPPLCorrelation, "1 - top5": 1 - s.Top5Overlap,
	} {
		if f != 0 {
			t.Errorf("%s is %v", name, f)
		}
	}
}

func TestSummarizeOne(t *testing.T) {
	s := SummarizeOne([]OneToken{
		{Target: 3, NLL: 1, Entropy: 2, Top: 3}, {Target: 3, NLL: 3, Entropy: 4, Top: 4}, {Target: -1, NLL: math.NaN(), Entropy: 6},
	})
	if want := (OneSummary{3, Figure(math.Exp(2)), Figure(math.Exp(2)), 0.5, 4}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
}

func TestFigureJSON(t *testing.T) {
	in := []Figure{1.5, Figure(math.NaN()), Figure(math.Inf(1)), Figure(math.Inf(-1)), -0.1}
	raw, err := json.Marshal(in)
	if err != nil || string(raw) != "[1.5,null,null,null,-0.1]" {
		t.Fatalf("%s, %v", raw, err)
	}
	var out []Figure
	if err := json.Unmarshal(raw, &out); err != nil || out[0] != 1.5 || !math.IsNaN(float64(out[1])) || out[4] != -0.1 {
		t.Errorf("%v, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`["x"]`), &out); err == nil {
		t.Error("a string is taken for a figure")
	}
}

func TestHistogram(t *testing.T) {
	var tokens []Token
	for _, k := range []float64{0, 9e-10, 1e-9, 2e-9, 0.0999, 0.1, 0.21, 0.22, 99, 100, math.Inf(1)} {
		tokens = append(tokens, Token{KLD: k})
	}
	b := Histogram(tokens)
	if len(b.Edges) != 34 || len(b.Counts) != 35 || !slices.IsSorted(b.Edges) {
		t.Fatalf("%d edges, %d counts", len(b.Edges), len(b.Counts))
	}
	for i, e := range b.Edges {
		if want := math.Pow(10, float64(i-27)/3); math.Abs(e/want-1) > 1e-14 {
			t.Errorf("edge %d is %v, want %v", i, e, want)
		}
	}
	want := make([]int, 35)
	want[0], want[1], want[24], want[25], want[26], want[33], want[34] = 2, 2, 1, 2, 1, 1, 2
	if !slices.Equal(b.Counts, want) {
		t.Errorf("%v\nwant %v", b.Counts, want)
	}
}

func TestByPosition(t *testing.T) {
	bounds := func(context int) (out [][3]int) {
		tokens := make([]Token, context)
		positions := make([]int, context)
		for i := range positions {
			positions[i] = i
		}
		for _, r := range ByPosition(tokens, positions, 0) {
			out = append(out, [3]int{r.From, r.To, r.Summary.Tokens})
		}
		return out
	}
	for context, want := range map[int][][3]int{
		0:   nil,
		1:   {{0, 1, 1}},
		2:   {{0, 1, 1}, {1, 2, 1}},
		10:  {{0, 1, 1}, {1, 2, 1}, {2, 4, 2}, {4, 8, 4}, {8, 10, 2}},
		128: {{0, 1, 1}, {1, 2, 1}, {2, 4, 2}, {4, 8, 4}, {8, 16, 8}, {16, 32, 16}, {32, 64, 32}, {64, 128, 64}},
		129: {{0, 2, 2}, {2, 4, 2}, {4, 8, 4}, {8, 16, 8}, {16, 32, 16}, {32, 64, 32}, {64, 128, 64}, {128, 129, 1}},
		512: {{0, 4, 4}, {4, 8, 4}, {8, 16, 8}, {16, 32, 16}, {32, 64, 32}, {64, 128, 64}, {128, 256, 128}, {256, 512, 256}},
	} {
		if got := bounds(context); !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %v, want %v", context, got, want)
		}
	}
	// Tokens of several chunks meet at their positions, in their order.
	tokens := sample(t, 6)
	got := ByPosition(tokens, []int{5, 300, 6, 5, 299, 511}, 512)
	if len(got) != 2 || !reflect.DeepEqual(got[0], Range{4, 8, Summarize([]Token{tokens[0], tokens[2], tokens[3]})}) ||
		!reflect.DeepEqual(got[1], Range{256, 512, Summarize([]Token{tokens[1], tokens[4], tokens[5]})}) {
		t.Errorf("%+v", got)
	}
}

func TestAcceptance(t *testing.T) {
	got := Acceptance([]int{1, 2, 3, 4, 5}, []int{1, 9, 3, 9, 5}, nil)
	if want := (AcceptanceRate{5, 3, 0.6, Figure(math.Sqrt(0.6 * 0.4 / 4))}); got.Tokens != want.Tokens || got.Accepted != 3 || got.Rate != 0.6 || math.Abs(float64(got.Uncertainty-want.Uncertainty)) > 1e-15 {
		t.Errorf("%+v, want %+v", got, want)
	}
	for n, want := range map[int]string{0: `{"tokens":0,"accepted":0,"rate":null,"uncertainty":null}`, 1: `{"tokens":1,"accepted":1,"rate":1,"uncertainty":null}`} {
		if raw, err := json.Marshal(Acceptance(make([]int, n), make([]int, n), nil)); err != nil || string(raw) != want {
			t.Errorf("%s, %v", raw, err)
		}
	}
}
