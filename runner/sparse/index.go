package sparse

import (
	"math"

	"quern/gemm"
)

// Indexer scores keys for a token.
type Indexer struct{ Heads, Size int }

// step is how many keys are scored at once.
const step = 512

// Scratch is how many numbers of scratch Score needs.
func (x Indexer) Scratch() int { return x.Heads * step }

// Score writes Σ_h w[h]·Heads^-½·relu(Size^-½·q_h·k_s) for each of the keys, rows of
// Size numbers. q has Heads rows, w one number a head.
func (x Indexer) Score(dst, q, w, keys, scratch []float32) {
	scale, share := float32(math.Pow(float64(x.Size), -0.5)), float32(math.Pow(float64(x.Heads), -0.5))
	clear(dst)
	for len(dst) > 0 {
		n := min(len(dst), step)
		k := gemm.Floats(keys, n, x.Size, x.Size, false)
		gemm.Mul(scratch, n, q, x.Size, x.Heads, &k, gemm.Options{Workers: 1})
		for h := range x.Heads {
			weight := w[h] * share
			for i, v := range scratch[h*n:][:n] {
				dst[i] += weight * max(v*scale, 0)
			}
		}
		dst, keys = dst[n:], keys[n*x.Size:]
	}
}
