//go:build !noasm

package fp8

// The AVX2 kernels are those of AVX-512 in half the width; they need F16C and
// POPCNT as well.

//go:noescape
func amaxBF16AVX2(src *byte, stride uintptr) (hi, lo uint32)

//go:noescape
func amaxF32AVX2(src *byte, stride uintptr) (hi, lo uint32)

//go:noescape
func zerosBF16AVX2(src *byte, stride uintptr) uint32

//go:noescape
func zerosF32AVX2(src *byte, stride uintptr) uint32

//go:noescape
func costBF16AVX2(src *byte, srcStride uintptr, s, factor, least float32) float32

//go:noescape
func weightedCostBF16AVX2(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32

//go:noescape
func costF32AVX2(src *byte, srcStride uintptr, s, factor, least float32) float32

//go:noescape
func weightedCostF32AVX2(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32

//go:noescape
func encodeBF16AVX2(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

//go:noescape
func encodeF32AVX2(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

//go:noescape
func encodeBeyondBF16AVX2(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

//go:noescape
func encodeBeyondF32AVX2(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

//go:noescape
func scan8AVX2(data *byte, n uintptr, mask uint32) bool

//go:noescape
func scan16AVX2(data *byte, n uintptr, mask uint32) bool

//go:noescape
func scan32AVX2(data *byte, n uintptr, mask uint32) bool

//go:noescape
func decodeBF16AVX2(dst, codes *byte, n uintptr, s float32)

//go:noescape
func decodeF32AVX2(dst, codes *byte, n uintptr, s float32)

//go:noescape
func castF32BF16AVX2(dst, src *byte, n uintptr) uintptr

//go:noescape
func widenBF16AVX2(dst *float32, src *byte, n uintptr)

//go:noescape
func widenF16AVX2(dst *float32, src *byte, n uintptr)

//go:noescape
func narrowF64AVX2(dst *float32, src *byte, n uintptr)

var avx2Kernels = asmKernels{
	bf16: asmTileKernels{
		amax:         amaxBF16AVX2,
		zeros:        zerosBF16AVX2,
		cost:         costBF16AVX2,
		weightedCost: weightedCostBF16AVX2,
		encode:       encodeBF16AVX2,
		encodeBeyond: encodeBeyondBF16AVX2,
	},
	f32: asmTileKernels{
		amax:         amaxF32AVX2,
		zeros:        zerosF32AVX2,
		cost:         costF32AVX2,
		weightedCost: weightedCostF32AVX2,
		encode:       encodeF32AVX2,
		encodeBeyond: encodeBeyondF32AVX2,
	},
	scan8:       scan8AVX2,
	scan16:      scan16AVX2,
	scan32:      scan32AVX2,
	decodeBF16:  decodeBF16AVX2,
	decodeF32:   decodeF32AVX2,
	castF32BF16: castF32BF16AVX2,
	widenBF16:   widenBF16AVX2,
	widenF16:    widenF16AVX2,
	narrowF64:   narrowF64AVX2,
}
