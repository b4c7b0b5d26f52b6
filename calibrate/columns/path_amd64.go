//go:build !noasm

package columns

import "quern/internal/cpu"

// archPaths returns the paths in assembly that this machine can run, the best one
// last.
func archPaths() (ps []*path) {
	if cpu.AVX2 {
		ps = append(ps, &path{"avx2", squaresAVX2, pairsAVX2})
	}
	if cpu.AVX512 {
		ps = append(ps, &path{"avx512", squaresAVX512, pairsAVX2})
	}
	return ps
}

// pairsAVX2 is the fastest for processors with AVX-512 too: loading words from what was
// stored in 64 bytes was measured at half the speed.
//
//go:noescape
func pairsAVX2(table *[Buckets * Buckets]uint32, base uint32, x []float32)

// The kernels of Squares in assembly take a strip of columns at a time, whose sums stay in
// registers over all rows, and raise maxima to those of their strip: whole strips of
// a fixed width, and what is left under a mask, which keeps loads and stores inside of
// the slices: strip and part, which internal/_generate/columns writes for both sets.
// Strides are in bytes there. Squares of float32 are exact in float64, so that fused
// additions round as others do.

func squaresAVX512(sums []float64, maxima, x []float32, stride int) {
	clear(maxima)
	c := 0
	for ; c+64 <= len(sums); c += 64 {
		stripAVX512(&sums[c], &maxima[0], &x[c], len(maxima), 4*stride)
	}
	for ; c < len(sums); c += 16 {
		partAVX512(&sums[c], &maxima[0], &x[c], len(maxima), 4*stride, min(16, len(sums)-c))
	}
}

func squaresAVX2(sums []float64, maxima, x []float32, stride int) {
	clear(maxima)
	c := 0
	for ; c+32 <= len(sums); c += 32 {
		stripAVX2(&sums[c], &maxima[0], &x[c], len(maxima), 4*stride)
	}
	for ; c < len(sums); c += 8 {
		partAVX2(&sums[c], &maxima[0], &x[c], len(maxima), 4*stride, min(8, len(sums)-c))
	}
}

// tailMask is all ones, then zeros: from element 8−n on it is the mask of the first n
// of 8 lanes.
//
//lint:ignore U1000 read in assembly
var tailMask = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}
