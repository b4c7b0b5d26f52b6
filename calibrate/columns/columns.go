package columns

import "math"

// Width is the most columns that a block has: the group that serving engines give
// one activation scale.
const Width = 128

// Squares adds the squares of a block to sums, a column each, and sets maxima to the
// largest magnitude of each row: NaN if it has one, else infinity if it has one. Row r
// of the block is x[r·stride:][:len(sums)].
func Squares(sums []float64, maxima, x []float32, stride int) {
	if len(sums) == 0 || len(sums) > Width || len(sums) > stride {
		panic("columns: a block is 1 to 128 columns wide, and no wider than the rows")
	}
	if len(maxima) == 0 {
		return
	}
	x = x[:(len(maxima)-1)*stride+len(sums)]
	current.Load().squares(sums, maxima, x, stride)
}

func squaresGeneric(sums []float64, maxima, x []float32, stride int) {
	for r := range maxima {
		m := uint32(0) // the bits of magnitudes are in order, NaN above infinity
		for c, v := range x[r*stride:][:len(sums)] {
			m = max(m, math.Float32bits(v)&^(1<<31))
			sums[c] += float64(v) * float64(v) // exact, so fused or not
		}
		maxima[r] = math.Float32frombits(m)
	}
}
