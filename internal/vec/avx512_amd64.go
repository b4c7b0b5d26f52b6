//go:build !noasm

package vec

// The AVX-512 kernels need F, BW, DQ, VL and BMI2. Whole steps of 64 elements run
// four vectors side by side, so that their chains of dependent operations overlap;
// what is left runs 16 at a time under a mask, which also keeps loads and stores
// inside of the slices.

//go:noescape
func dotAVX512(a, b []float32) float32

//go:noescape
func axpyAVX512(y []float32, alpha float32, x []float32)

//go:noescape
func addAVX512(y, x []float32)

//go:noescape
func mulAVX512(y, x []float32)

//go:noescape
func scaleAVX512(dst, x []float32, alpha float32)

//go:noescape
func scaleMulAVX512(dst, x, w []float32, alpha float32)

//go:noescape
func maxAVX512(x []float32) float32

//go:noescape
func absMaxAVX512(x []float32) float32

//go:noescape
func expAVX512(dst, x []float32)

//go:noescape
func sigmoidAVX512(dst, x []float32)

//go:noescape
func softExpAVX512(x []float32, m float32) float32

//go:noescape
func siluMulAVX512(dst, gate, up []float32)

//go:noescape
func clampedSwiGLUAVX512(dst, gateUp []float32, alpha, limit float32)

//go:noescape
func rotateAVX512(x, cos, sin []float32)

//go:noescape
func rotateInterleavedAVX512(x, cos, sin []float32)

//go:noescape
func quantizeAVX512(x []float32, s float32)

//go:noescape
func expSumsAVX512(a, b []float32, shiftA, shiftB float64) (ea, eb, d float64)

//go:noescape
func expSumAVX512(a []float32, shift float64) float64

var avx512Path = path{
	name:              "avx512",
	dot:               dotAVX512,
	axpy:              axpyAVX512,
	add:               addAVX512,
	mul:               mulAVX512,
	scale:             scaleAVX512,
	scaleMul:          scaleMulAVX512,
	max:               maxAVX512,
	absMax:            absMaxAVX512,
	exp:               expAVX512,
	sigmoid:           sigmoidAVX512,
	softExp:           softExpAVX512,
	siluMul:           siluMulAVX512,
	clampedSwiGLU:     clampedSwiGLUAVX512,
	rotate:            rotateAVX512,
	rotateInterleaved: rotateInterleavedAVX512,
	quantize:          quantizeAVX512,
	expSums:           expSumsAVX512,
	expSum:            expSumAVX512,
}
