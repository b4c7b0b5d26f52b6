//go:build !noasm

package group

import (
	"math"

	"quern/fp8"
	"quern/internal/cpu"
)

// archPaths returns the paths in assembly that this machine can run, the best one
// last.
func archPaths() (ps []*path) {
	if cpu.AVX2 {
		ps = append(ps, avx2Kernels.path("avx2"))
	}
	if cpu.AVX512 {
		ps = append(ps, avx512Kernels.path("avx512"))
	}
	return ps
}

// asmKernels are the kernels of one instruction set. Counts are of weights, except
// where said; encoders take multiples of turn, decoders and costs of 16 and 8.
type asmKernels struct {
	turn int

	amax func(amax, w *float32, groups, n uintptr) (top, zeros uint32) // groups of n

	// Of n groups, a multiple of 8.
	nvfp4Scales func(scales *byte, mult, amax *float32, n uintptr, tensor, six float32) (low uint32)
	e8m0Scales  func(scales *byte, mult, amax *float32, n uintptr, rule *e8m0Rule)
	int4Scales  func(scales *byte, mult, amax *float32, n uintptr, divisor float32)

	encodeE2M1 func(codes *byte, w, mult *float32, n uintptr, r *Row, zero float32) // zero is added to weights
	encodeE4M3 func(codes *byte, w, mult *float32, n uintptr, r *Row)
	encodeINT4 func(codes *byte, w, mult *float32, n uintptr, r *Row)

	// For k multipliers.
	costE2M1, costINT4 func(cost *float64, mult *float32, k uintptr, w *float32, u *float64, n uintptr)

	decodeE2M1BF16, decodeE2M1F32 asmDecoder
	decodeE4M3BF16, decodeE4M3F32 asmDecoder
	decodeINT4BF16, decodeINT4F32 asmDecoder

	// Squares below each other, of 8×8 and of 4×4.
	turn2, turn4 func(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, squares uintptr)
}

type asmDecoder func(dst, codes *byte, mult *float32, n uintptr)

// path wraps the kernels, with the scalar reference for what is left over.
func (k *asmKernels) path(name string) *path {
	return &path{
		name: name,
		amax: func(amax, w []float32) (top, zeros uint32) {
			if len(amax) == 0 || len(w) == 0 {
				return amaxGeneric(amax, w)
			}
			return k.amax(&amax[0], &w[0], uintptr(len(amax)), uintptr(len(w)/len(amax)))
		},
		nvfp4Scales: func(scales []byte, mult, amax []float32, tensor float32) (low uint32) {
			n := len(amax) &^ 7
			if n > 0 {
				low = k.nvfp4Scales(&scales[:n][0], &mult[:n][0], &amax[0], uintptr(n), tensor, e2m1Max*tensor)
			}
			return low + nvfp4ScalesGeneric(scales[n:], mult[n:], amax[n:], tensor)
		},
		e8m0Scales: func(scales []byte, mult, amax []float32, rule *e8m0Rule) {
			n := len(amax) &^ 7
			if n > 0 {
				k.e8m0Scales(&scales[:n][0], &mult[:2*n][0], &amax[0], uintptr(n), rule)
			}
			e8m0ScalesGeneric(scales[n:], mult[2*n:], amax[n:], rule)
		},
		int4Scales: func(scales []byte, mult, amax []float32, divisor float32) {
			n := len(amax) &^ 7
			if n > 0 {
				k.int4Scales(&scales[:2*n][0], &mult[:2*n][0], &amax[0], uintptr(n), divisor)
			}
			int4ScalesGeneric(scales[2*n:], mult[2*n:], amax[n:], divisor)
		},
		encodeE2M1: func(codes []byte, w, mult []float32, signedZero bool, r *Row) {
			n := len(w) / k.turn * k.turn
			if n > 0 {
				zero := float32(0)
				if signedZero {
					zero = float32(math.Copysign(0, -1))
				}
				k.encodeE2M1(&codes[:n/2][0], &w[0], &mult[:n/unit][0], uintptr(n), r, zero)
			}
			encodeE2M1Generic(codes[n/2:], w[n:], mult[n/unit:], signedZero, r)
		},
		encodeE4M3: func(codes []byte, w, mult []float32, r *Row) {
			n := len(w) / k.turn * k.turn
			if n > 0 {
				k.encodeE4M3(&codes[:n][0], &w[0], &mult[:n/unit][0], uintptr(n), r)
			}
			encodeE4M3Generic(codes[n:], w[n:], mult[n/unit:], r)
		},
		encodeINT4: func(codes []byte, w, mult []float32, r *Row) {
			n := len(w) / k.turn * k.turn
			if n > 0 {
				k.encodeINT4(&codes[:n/2][0], &w[0], &mult[:n/unit][0], uintptr(n), r)
			}
			encodeINT4Generic(codes[n/2:], w[n:], mult[n/unit:], r)
		},
		costE2M1:   cost(k.costE2M1),
		costINT4:   cost(k.costINT4),
		decodeE2M1: decodeWith(k.decodeE2M1BF16, k.decodeE2M1F32),
		decodeE4M3: decodeWith(k.decodeE4M3BF16, k.decodeE4M3F32),
		decodeINT4: decodeWith(k.decodeINT4BF16, k.decodeINT4F32),
		turn2:      turnWith(k.turn2, 8, 2),
		turn4:      turnWith(k.turn4, 4, 4),
	}
}

func cost(kernel func(cost *float64, mult *float32, k uintptr, w *float32, u *float64, n uintptr)) func(cost []float64, mult, w []float32, u []float64) {
	return func(cost []float64, mult, w []float32, u []float64) {
		kernel(&cost[:len(mult)][0], &mult[0], uintptr(len(mult)), &w[0], &u[:len(w)][0], uintptr(len(w)))
	}
}

func decodeWith(bf16, f32 asmDecoder) decoder {
	return func(dst []byte, elem fp8.Elem, codes []byte, mult []float32) {
		n := len(mult) * unit
		if n == 0 {
			return
		}
		_ = dst[:n*elem.Size()]
		if elem == fp8.ElemBF16 {
			bf16(&dst[0], &codes[0], &mult[0], uintptr(n))
		} else {
			f32(&dst[0], &codes[0], &mult[0], uintptr(n))
		}
	}
}

// turnWith turns h×w elements of a size by squares of an edge, and what is left one by
// one. Strides are in bytes.
func turnWith(square func(dst *byte, dstStride uintptr, src *byte, srcStride uintptr, squares uintptr), edge, size int) turner {
	return func(dst []byte, dstStride int, src []byte, srcStride, h, w int) {
		high, wide := h/edge*edge, w/edge*edge
		if high > 0 && wide > 0 {
			_, _ = dst[(wide-1)*dstStride+size*high-1], src[(high-1)*srcStride+size*wide-1]
			for c := 0; c < wide; c += edge {
				square(&dst[c*dstStride], uintptr(dstStride), &src[size*c], uintptr(srcStride), uintptr(high/edge))
			}
		}
		for r := range h {
			c := 0
			if r < high {
				c = wide
			}
			for ; c < w; c++ {
				copy(dst[c*dstStride+size*r:][:size], src[r*srcStride+size*c:])
			}
		}
	}
}
