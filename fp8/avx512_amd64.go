//go:build !noasm

package fp8

// The AVX-512 kernels need F, BW, DQ and VL. They work on whole tiles, of 128 rows
// and 128 columns, or on runs of a round number of elements; strides are in bytes.
//
// Rounding y = |w|/s to E4M3 takes no branch and no table. Let e be the exponent
// of y, but at least −6, that of the smallest normal number. E4M3 has the spacing
// 2^(e−3) there, and float32 has the same spacing from M = 2^(e+20) to 2M. So the
// float32 sum t = y+M is y rounded to nearest even on the grid of E4M3, and
// q = t−M is exact. The low bits of t count steps of the grid, n = q/2^(e−3), and
// the code is 8(e+6)+n: for normal numbers n runs from 8 to 16, where 16 is the
// first code of the next binade, and subnormal ones have e = −6. VPSUBUSW
// subtracts the bits of 2⁻⁶ and clamps at 0 at once; VPMADDWD multiplies the steps
// by 16, adds the exponent that lies 7 bits up in the other word and so makes
// sixteen times the code. Up to 464 no clamp is needed: y rounds to 448 there.
//
// Quotients of BF16 weights come without a division (encodeFast, costFast, weightedCostFast): with
// r = 1/s and y0 = w·r, both rounded, the residue w−y0·s is exact in a fused
// multiply-add, and y0+r·(w−y0·s), rounded once, is the correctly rounded w/s. For
// 24-bit numerators one such step is not always enough; for the 8 significant bits
// of BF16 it is: an exhaustive run over all 128·2²³ pairs of significands found no
// exception (w·r alone is wrong in 27 % of them). Exponents do not matter as long
// as nothing is subnormal, the lowest bit of the residue included, which has 2⁻⁴⁸
// of the weight of w or more: see archTile.normal.
//
// Signs are packed from the source words: y has lost them, and −0 must keep its.

//go:noescape
func amaxBF16AVX512(src *byte, stride uintptr) (hi, lo uint32)

//go:noescape
func amaxF32AVX512(src *byte, stride uintptr) (hi, lo uint32)

// leastBF16AVX512 returns the smallest magnitude but 0, or 0 if all are 0.
//
//go:noescape
func leastBF16AVX512(src *byte, stride uintptr) uint32

//go:noescape
func zerosBF16AVX512(src *byte, stride uintptr) uint32

//go:noescape
func zerosF32AVX512(src *byte, stride uintptr) uint32

//go:noescape
func costBF16AVX512(src *byte, srcStride uintptr, s, factor, least float32) float32

//go:noescape
func weightedCostBF16AVX512(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32

//go:noescape
func costF32AVX512(src *byte, srcStride uintptr, s, factor, least float32) float32

//go:noescape
func weightedCostF32AVX512(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32

//go:noescape
func costFastBF16AVX512(src *byte, srcStride uintptr, s, factor, least float32) float32

//go:noescape
func weightedCostFastBF16AVX512(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32

//go:noescape
func encodeFastBF16AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

//go:noescape
func encodeBF16AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

//go:noescape
func encodeF32AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

//go:noescape
func encodeBeyondBF16AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

//go:noescape
func encodeBeyondF32AVX512(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

//go:noescape
func scan8AVX512(data *byte, n uintptr, mask uint32) bool

//go:noescape
func scan16AVX512(data *byte, n uintptr, mask uint32) bool

//go:noescape
func scan32AVX512(data *byte, n uintptr, mask uint32) bool

//go:noescape
func decodeBF16AVX512(dst, codes *byte, n uintptr, s float32)

//go:noescape
func decodeF32AVX512(dst, codes *byte, n uintptr, s float32)

//go:noescape
func castF32BF16AVX512(dst, src *byte, n uintptr) uintptr

//go:noescape
func widenBF16AVX512(dst *float32, src *byte, n uintptr)

//go:noescape
func widenF16AVX512(dst *float32, src *byte, n uintptr)

//go:noescape
func narrowF64AVX512(dst *float32, src *byte, n uintptr)

var avx512Kernels = asmKernels{
	bf16: asmTileKernels{
		amax:             amaxBF16AVX512,
		zeros:            zerosBF16AVX512,
		cost:             costBF16AVX512,
		weightedCost:     weightedCostBF16AVX512,
		encode:           encodeBF16AVX512,
		encodeBeyond:     encodeBeyondBF16AVX512,
		least:            leastBF16AVX512,
		costFast:         costFastBF16AVX512,
		weightedCostFast: weightedCostFastBF16AVX512,
		encodeFast:       encodeFastBF16AVX512,
	},
	f32: asmTileKernels{
		amax:         amaxF32AVX512,
		zeros:        zerosF32AVX512,
		cost:         costF32AVX512,
		weightedCost: weightedCostF32AVX512,
		encode:       encodeF32AVX512,
		encodeBeyond: encodeBeyondF32AVX512,
	},
	scan8:       scan8AVX512,
	scan16:      scan16AVX512,
	scan32:      scan32AVX512,
	decodeBF16:  decodeBF16AVX512,
	decodeF32:   decodeF32AVX512,
	castF32BF16: castF32BF16AVX512,
	widenBF16:   widenBF16AVX512,
	widenF16:    widenF16AVX512,
	narrowF64:   narrowF64AVX512,
}
