package metrics

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Where tokens of a chunk go up and down together, the interval of two standard errors
// holds the truth as often as it says it does; that of independent tokens does not.
func TestUncertaintyCoversChunks(t *testing.T) {
	const trials, chunks, length, truth = 600, 40, 64, 0.9
	r := rand.New(rand.NewPCG(31, 7))
	var mean, naive, top, median, drop int
	for range trials {
		tokens := make([]Token, 0, chunks*length)
		var draft, main [2][]int
		var in []int
		for c := range chunks {
			hard := r.NormFloat64()
			for range length {
				x := Token{Chunk: c, Target: 1, KLD: 0.05 + 0.01*hard + 0.02*r.NormFloat64(), TopQuant: 1}
				if r.Float64() < truth+0.05*math.Tanh(hard) {
					x.TopQuant = 0
				}
				x.TopBase = 0
				tokens = append(tokens, x)
				in = append(in, c)
				for side := range 2 {
					main[side] = append(main[side], 0)
					draft[side] = append(draft[side], boolInt(r.Float64() > 0.5+0.1*math.Tanh(hard)*float64(side)))
				}
			}
		}
		s := Summarize(tokens)
		if s.Chunks != chunks {
			t.Fatalf("%d chunks", s.Chunks)
		}
		covers := func(x, err Figure, truth float64) int {
			return boolInt(math.Abs(float64(x)-truth) <= 1.96*float64(err))
		}
		mean += covers(s.KLDMean, s.KLDMeanUncertainty, 0.05)
		median += covers(s.KLDMedian, s.KLDMedianUncertainty, 0.05)
		top += covers(s.SameTop, s.SameTopUncertainty, truth)
		x, err := Drop(draft, main, in)
		drop += covers(x, err, 0)
		for i := range tokens {
			tokens[i].Chunk = 0
		}
		one := Summarize(tokens)
		naive += covers(one.KLDMean, one.KLDMeanUncertainty, 0.05)
	}
	for what, n := range map[string]int{"mean KLD": mean, "median KLD": median, "same top": top, "drop": drop} {
		if share := float64(n) / trials; share < 0.92 || share > 0.985 {
			t.Errorf("%s: %.1f %% of the intervals cover the truth, want 95", what, 100*share)
		}
	}
	if share := float64(naive) / trials; share > 0.6 {
		t.Errorf("independent tokens: %.1f %%: this sample shows nothing", 100*share)
	}
}

// One chunk tells no more than its tokens do, and chunks never less.
func TestUncertaintyIsNeverBelowThatOfTokens(t *testing.T) {
	tokens := make([]Token, 8)
	for i := range tokens { // each chunk has the same mean
		tokens[i] = Token{Target: 0, KLD: float64(i % 2), Chunk: i / 2}
	}
	many := Summarize(tokens)
	for i := range tokens {
		tokens[i].Chunk = 0
	}
	if one := Summarize(tokens); many.KLDMeanUncertainty != one.KLDMeanUncertainty || float64(one.KLDMeanUncertainty) != math.Sqrt(0.25/7) {
		t.Errorf("%v, %v", many.KLDMeanUncertainty, one.KLDMeanUncertainty)
	}
}
