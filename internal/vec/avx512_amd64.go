//go:build !noasm

package vec

// The AVX-512 kernels need F, BW, DQ, VL and BMI2. Whole steps run up to four vectors
// side by side, so that their chains of dependent operations overlap; what is left runs
// vector by vector under a mask, which also keeps loads and stores inside of the slices.

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
	energies:          energiesAVX512,
}
