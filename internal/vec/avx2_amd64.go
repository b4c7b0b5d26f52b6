//go:build !noasm

package vec

// The AVX2 kernels work on 16 elements, two vectors, at a time, so that the lanes
// of sums are those of AVX-512; what is left is loaded and stored under a mask.

var avx2Path = path{
	name:              "avx2",
	dot:               dotAVX2,
	axpy:              axpyAVX2,
	add:               addAVX2,
	mul:               mulAVX2,
	scale:             scaleAVX2,
	scaleMul:          scaleMulAVX2,
	max:               maxAVX2,
	absMax:            absMaxAVX2,
	exp:               expAVX2,
	sigmoid:           sigmoidAVX2,
	softExp:           softExpAVX2,
	siluMul:           siluMulAVX2,
	clampedSwiGLU:     clampedSwiGLUAVX2,
	rotate:            rotateAVX2,
	rotateInterleaved: rotateInterleavedAVX2,
	quantize:          quantizeAVX2,
	expSums:           expSumsAVX2,
	expSum:            expSumAVX2,
	energies:          energiesAVX2,
}
