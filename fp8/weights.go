package fp8

import (
	"fmt"
	"math"
)

// leastWeight is the least weight of a column against the largest one of its
// tile: a channel that calibration never saw active still counts a little.
const leastWeight = 0x1p-24

// ones are the weights of columns that all count alike.
var ones = func() (u [Tile]float32) {
	for c := range u {
		u[c] = 1
	}
	return u
}()

// NormalizeWeights writes to u what [SearchWeighted] multiplies squares by: for
// every 128 columns of a matrix, from column 0 on, w/max(w) in float32, at least
// 2⁻²⁴, and 1 where max(w) is 0. w holds numbers ≥ 0, one a column, as
// Options.Weights. A u that is shorter than w panics, as indexing does; u may be w.
//
// It is there for kernels on devices, which get their weights from the host: the
// quotient may have subnormal operands, in which devices differ.
func NormalizeWeights(u, w []float32) {
	for at := 0; at < len(w); at += Tile {
		block := w[at:min(at+Tile, len(w))]
		var top float32
		for _, x := range block {
			top = max(top, x)
		}
		for i, x := range block {
			if top == 0 {
				u[at+i] = 1
			} else {
				u[at+i] = max(x/top, leastWeight)
			}
		}
	}
}

// checkWeights says whether w may be the weights of cols columns.
func checkWeights(w []float32, cols int) error {
	if len(w) != 0 && len(w) != cols {
		return fmt.Errorf("%d weights for %d columns", len(w), cols)
	}
	for c, x := range w {
		if !(x >= 0 && x <= math.MaxFloat32) {
			return fmt.Errorf("weight %v of column %d: neither 0 nor a positive finite number", x, c)
		}
	}
	return nil
}
