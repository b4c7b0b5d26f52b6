package runner

import (
	"math"
	"testing"
)

// The nucleus is the least set of the likeliest tokens that reaches the bound, and what
// is left has the sum 1.
func TestNucleus(t *testing.T) {
	logits := func(p ...float64) []float32 {
		out := make([]float32, len(p))
		for i, x := range p {
			out[i] = float32(math.Log(x))
		}
		return out
	}
	for _, c := range []struct {
		topP float64
		want []float64
	}{
		{0, []float64{0.1, 0.4, 0.1, 0.4}},
		{1, []float64{0.1, 0.4, 0.1, 0.4}},
		{1e-9, []float64{0, 1, 0, 0}}, // never nothing; ties by the lower id
		{0.39, []float64{0, 1, 0, 0}},
		{0.5, []float64{0, 0.5, 0, 0.5}},
		{0.85, []float64{1. / 9, 4. / 9, 0, 4. / 9}},
		{0.95, []float64{0.1, 0.4, 0.1, 0.4}},
	} {
		s := newSampler(1, c.topP, 1)
		got := s.probabilities(logits(0.1, 0.4, 0.1, 0.4))
		for i, w := range c.want {
			if math.Abs(float64(got[i])-w) > 1e-6 {
				t.Errorf("top-p %g: %v, want %v", c.topP, got, c.want)
				break
			}
		}
		for range 200 {
			if i := s.pick(logits(0.1, 0.4, 0.1, 0.4)); c.want[i] == 0 {
				t.Fatalf("top-p %g draws %d", c.topP, i)
			}
		}
	}
}
