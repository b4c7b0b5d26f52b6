//go:build !noasm

package fp8

import (
	"unsafe"

	"quern/internal/cpu"
)

// archPaths returns the paths in assembly that this machine can run, the best one
// last.
func archPaths() (ps []*path) {
	if cpu.AVX2 {
		ps = append(ps, avx2Path)
	}
	if cpu.AVX512 {
		ps = append(ps, avx512Path)
	}
	return ps
}

var (
	avx2Path   = avx2Kernels.path("avx2")
	avx512Path = avx512Kernels.path("avx512")
)

// asmKernels are the kernels of one instruction set.
type asmKernels struct {
	bf16, f32 asmTileKernels

	// scan tells whether an element of n bytes, a multiple of 256, has all bits of
	// the mask (repeated to 32 bits) set.
	scan8, scan16, scan32 func(data *byte, n uintptr, mask uint32) bool

	// decode writes q·s for n codes, a multiple of 32.
	decodeBF16, decodeF32 func(dst, codes *byte, n uintptr, s float32)

	// castF32BF16 rounds n elements, a multiple of 32, and returns how many it did
	// before the first run of 16 or 32 with one that does not stay finite.
	castF32BF16 func(dst, src *byte, n uintptr) uintptr

	// These write n elements, a multiple of 16, as float32.
	widenBF16, widenF16, narrowF64 func(dst *float32, src *byte, n uintptr)
}

// asmTileKernels work on full tiles of one element type; strides are in bytes.
type asmTileKernels struct {
	amax         func(src *byte, stride uintptr) (hi, lo uint32) // bits of the largest and the smallest magnitude
	zeros        func(src *byte, stride uintptr) uint32          // weights ±0
	cost         func(src *byte, srcStride uintptr, s, factor, least float32) float32
	weightedCost func(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32
	encode       func(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
	encodeBeyond func(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)

	// Without a division, for tiles that have no very small weights; or nil.
	least            func(src *byte, stride uintptr) uint32 // bits of the smallest magnitude but 0, or 0
	costFast         func(src *byte, srcStride uintptr, s, factor, least float32) float32
	weightedCostFast func(src *byte, srcStride uintptr, s, factor, least float32, weights *float32) float32
	encodeFast       func(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, s float32, out *rawSums)
}

// rawSums is what the encoders in assembly leave.
type rawSums struct {
	sumSq, sumErr, maxErr float32
	saturated             uint32
	small                 uint32 // codes of magnitude 0…7
	zero                  uint32 // codes of magnitude 0
}

// decode is Elem.decode.
func (k *asmKernels) decode(dst []float32, src []byte, e Elem) {
	n := len(dst) &^ 15
	run := src[:n*e.Size()] // all that the kernels read
	switch {
	case n == 0:
	case e == ElemBF16:
		k.widenBF16(&dst[0], &run[0], uintptr(n))
	case e == ElemF32: // has the machine's own byte order
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 4*n), run)
	case e == ElemF16:
		k.widenF16(&dst[0], &run[0], uintptr(n))
	case e == ElemF64:
		k.narrowF64(&dst[0], &run[0], uintptr(n))
	default:
		n = 0
	}
	e.decode(dst[n:], src[n*e.Size():])
}

// path wraps the kernels, with the scalar reference for what is left over.
func (k *asmKernels) path(name string) *path {
	return &path{
		name:   name,
		prunes: true,
		bind:   k.bind,
		decode: k.decode,
		widen: func(dst, src []byte, e Elem) { // the machine's own byte order
			k.decode(unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst)/4), src, e)
		},
		decodeE4M3: func(dst []byte, elem Elem, codes []byte, s float32) {
			n := len(codes) &^ 31
			if n > 0 {
				if elem == ElemBF16 {
					k.decodeBF16(&dst[:2*n][0], &codes[0], uintptr(n), s)
				} else {
					k.decodeF32(&dst[:4*n][0], &codes[0], uintptr(n), s)
				}
			}
			decodeE4M3Generic(dst[n*elem.Size():], elem, codes[n:], s)
		},
		nonFinite: func(data []byte, e Elem) bool {
			n := len(data) &^ 255
			if n == 0 || e == ElemF64 {
				return nonFiniteGeneric(data, e)
			}
			var found bool
			switch e {
			case ElemBF16:
				found = k.scan16(&data[0], uintptr(n), 0x7f807f80)
			case ElemF16:
				found = k.scan16(&data[0], uintptr(n), 0x7c007c00)
			case ElemF32:
				found = k.scan32(&data[0], uintptr(n), 0x7f800000)
			}
			return found || nonFiniteGeneric(data[n:], e)
		},
		nanCodes: func(codes []byte) bool {
			n := len(codes) &^ 255
			if n > 0 && k.scan8(&codes[0], uintptr(n), 0x7f7f7f7f) {
				return true
			}
			return nanCodesGeneric(codes[n:])
		},
		castF32BF16: func(dst, src []byte) int {
			n := len(src) / 4 &^ 31
			if n == 0 {
				return 0
			}
			return int(k.castF32BF16(&dst[:2*n][0], &src[0], uintptr(n)))
		},
	}
}
