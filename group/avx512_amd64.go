//go:build !noasm

package group

// The AVX-512 kernels are those of AVX2 in twice the width: a turn is 16 weights,
// which share a multiplier. Masks count, and carry the signs. What happens once a
// group is left to AVX2.

//go:noescape
func encodeE2M1AVX512(codes *byte, w, mult *float32, n uintptr, r *Row, zero float32)

//go:noescape
func encodeE4M3AVX512(codes *byte, w, mult *float32, n uintptr, r *Row)

//go:noescape
func encodeINT4AVX512(codes *byte, w, mult *float32, n uintptr, r *Row)

var avx512Kernels = asmKernels{
	turn:           16,
	amax:           amaxAVX2,
	nvfp4Scales:    nvfp4ScalesAVX2,
	e8m0Scales:     e8m0ScalesAVX2,
	int4Scales:     int4ScalesAVX2,
	encodeE2M1:     encodeE2M1AVX512,
	encodeE4M3:     encodeE4M3AVX512,
	encodeINT4:     encodeINT4AVX512,
	costE2M1:       costE2M1AVX512,
	costINT4:       costINT4AVX512,
	decodeE2M1BF16: decodeE2M1BF16AVX512,
	decodeE2M1F32:  decodeE2M1F32AVX512,
	decodeE4M3BF16: decodeE4M3BF16AVX512,
	decodeE4M3F32:  decodeE4M3F32AVX512,
	decodeINT4BF16: decodeINT4BF16AVX512,
	decodeINT4F32:  decodeINT4F32AVX512,
	turn2:          turn2AVX512,
	turn4:          turn4AVX512,
}
