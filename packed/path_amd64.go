//go:build !noasm

package packed

import (
	"math"

	"quern/fp8"
	"quern/internal/cpu"
)

// archPaths returns the paths in assembly that this machine can run, the best one
// last. internal/_generate/packed writes the kernels of both sets.
func archPaths() (ps []*path) {
	if cpu.AVX2 {
		ps = append(ps, asm("avx2", affineBF16AVX2, affineF32AVX2, orderedBF16AVX2, orderedF32AVX2))
	}
	if cpu.AVX512 {
		ps = append(ps, asm("avx512", affineBF16AVX512, affineF32AVX512, orderedBF16AVX512, orderedF32AVX512))
	}
	return ps
}

// turn is how many codes the kernels take at once.
const turn = 16

// asm wraps the kernels, with the scalar reference for what is left over, and for
// numbers that are not finite: the kernels do not round NaN to BF16.
func asm(name string,
	affineBF16, affineF32 func(dst, q *byte, n uintptr, zero, scale, bias float32),
	orderedBF16, orderedF32 func(dst, q *byte, n uintptr, of *int32, zero, scale *float32),
) *path {
	return &path{
		name: name,
		affine: func(dst []byte, elem fp8.Elem, q []uint8, zero, scale, bias float32) {
			n := len(q) / turn * turn
			if !finite(scale) || !finite(bias) {
				n = 0
			}
			if n > 0 {
				_ = dst[n*elem.Size()-1]
				run := affineF32
				if elem == fp8.ElemBF16 {
					run = affineBF16
				}
				run(&dst[0], &q[0], uintptr(n), zero, scale, bias)
			}
			if n < len(q) {
				affineGeneric(dst[n*elem.Size():], elem, q[n:], zero, scale, bias)
			}
		},
		ordered: func(dst []byte, elem fp8.Elem, q []uint8, of []int32, zero, scale []float32) {
			n := len(q) / turn * turn
			for _, s := range scale {
				if !finite(s) {
					n = 0
				}
			}
			if n > 0 {
				_, _ = dst[n*elem.Size()-1], of[n-1]
				run := orderedF32
				if elem == fp8.ElemBF16 {
					run = orderedBF16
				}
				run(&dst[0], &q[0], uintptr(n), &of[0], &zero[0], &scale[0])
			}
			orderedGeneric(dst[n*elem.Size():], elem, q[n:], of[n:], zero, scale)
		},
	}
}

// finite reports whether x is neither NaN nor infinite.
func finite(x float32) bool { return math.Float32bits(x)&0x7fffffff < 0x7f800000 }
