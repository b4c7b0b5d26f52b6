//go:build !noasm

package group

// The AVX2 kernels code 32 weights a turn.
//
// Rounding |w|/s to E2M1 or E4M3 takes no branch: see fp8/avx512_amd64.go, whose
// argument holds for E2M1 with 2²²·2^e for M, e ≥ 0. Blending words and VPMADDWD
// make steps·code of the steps of the grid and the exponent. Codes are counted as
// bytes, before they get their signs, which are packed from the weights: the
// quotient has lost them.

//go:noescape
func amaxAVX2(amax, w *float32, groups, n uintptr) (top, zeros uint32)

//go:noescape
func nvfp4ScalesAVX2(scales *byte, mult, amax *float32, n uintptr, tensor, six float32) (low uint32)

//go:noescape
func e8m0ScalesAVX2(scales *byte, mult, amax *float32, n uintptr, rule *e8m0Rule)

//go:noescape
func int4ScalesAVX2(scales *byte, mult, amax *float32, n uintptr, divisor float32)

//go:noescape
func encodeE2M1AVX2(codes *byte, w, mult *float32, n uintptr, r *Row, zero float32)

//go:noescape
func encodeE4M3AVX2(codes *byte, w, mult *float32, n uintptr, r *Row)

//go:noescape
func encodeINT4AVX2(codes *byte, w, mult *float32, n uintptr, r *Row)

var avx2Kernels = asmKernels{
	turn:           32,
	amax:           amaxAVX2,
	nvfp4Scales:    nvfp4ScalesAVX2,
	e8m0Scales:     e8m0ScalesAVX2,
	int4Scales:     int4ScalesAVX2,
	encodeE2M1:     encodeE2M1AVX2,
	encodeE4M3:     encodeE4M3AVX2,
	encodeINT4:     encodeINT4AVX2,
	costE2M1:       costE2M1AVX2,
	costINT4:       costINT4AVX2,
	decodeE2M1BF16: decodeE2M1BF16AVX2,
	decodeE2M1F32:  decodeE2M1F32AVX2,
	decodeE4M3BF16: decodeE4M3BF16AVX2,
	decodeE4M3F32:  decodeE4M3F32AVX2,
	decodeINT4BF16: decodeINT4BF16AVX2,
	decodeINT4F32:  decodeINT4F32AVX2,
	turn2:          turn2AVX2,
	turn4:          turn4AVX2,
}
