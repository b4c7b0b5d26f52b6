package rotary

import "math"

// Default are theta^(−2i/d) for the pairs of d channels; where d is odd, the last pair has
// a channel more than d (MiMo's third of a small head).
func Default(theta float64, d int) []float64 {
	f := make([]float64, (d+1)/2)
	for i := range f {
		f[i] = math.Pow(theta, -2*float64(i)/float64(d))
	}
	return f
}

// Proportional (Gemma 4's global layers) keeps the first part of a head's pairs, at the
// frequencies that they have among all d channels, divided by factor, and does not turn
// the others: all d channels rotate in halves, the pairs beyond int(part·d/2) by nothing.
// factor 0 means 1.
func Proportional(theta float64, d int, part, factor float64) []float64 {
	f := Default(theta, d)
	for i := range f {
		switch {
		case i >= int(part*float64(d)/2):
			f[i] = 0
		case factor != 0:
			f[i] /= factor
		}
	}
	return f
}

// LongRope (Phi-3; arXiv 2402.13753) divides each frequency by a factor of its own, one
// list for texts within the original context, another for longer ones, and returns the
// factor of cosine and sine: √(1+ln(scale)/ln(original)) with scale the ratio of the
// contexts. Which list holds is a matter of the text's length: all of its positions take
// the same.
func LongRope(theta float64, factors []float64, scale float64, original int) (f []float64, attention float64) {
	f = Default(theta, 2*len(factors))
	for i := range f {
		f[i] /= factors[i]
	}
	if scale <= 1 {
		return f, 1
	}
	return f, math.Sqrt(1 + math.Log(scale)/math.Log(float64(original)))
}

// Dynamic (NTK-aware) raises theta for texts longer than the trained context.
func Dynamic(theta float64, d int, factor float64, length, trained int) []float64 {
	n, l := float64(trained), float64(max(length, trained))
	return Default(theta*math.Pow(factor*l/n-(factor-1), float64(d)/float64(d-2)), d)
}

// Learned (LeRoPE, Mistral Large 4) multiplies frequencies by e^alpha, one alpha a pair.
func Learned(f []float64, alpha []float32) {
	for i, a := range alpha {
		f[i] *= math.Exp(float64(a))
	}
}
