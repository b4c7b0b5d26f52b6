package main

import (
	"github.com/mmcloughlin/avo/operand"

	"generate/wide"
)

const costSignature = "func(cost *float64, mult *float32, k uintptr, w *float32, u *float64, n uintptr)"

// costs are the kernels of a search: for each of k multipliers Σ(w−ŵ)²·u of n weights,
// a multiple of 16, in 8 lanes.
var costs = []wide.Func{
	cost("costE2M1", func(k *wide.Kernel) rounding {
		magnitudes := k.Held(table.At("MAGNITUDES"))
		exponent, most := k.Constant(table.At("EXPONENT")), k.Constant(table.At("E2M1MAX"))
		least, grid := k.Constant(table.At("E2M1LEAST")), k.Constant(table.At("E2M1GRID"))
		return func(w operand.Mem, s wide.Vec) (x, q wide.Vec) {
			x, q = k.Vec(), k.Vec()
			k.IntAnd()(w, magnitudes, x)
			k.VDIVPS(s, x, q)
			k.VMINPS(most, q, q)
			m := k.Vec() // the number at which float32 has the spacing of codes
			k.VPSUBUSW(least, q, m)
			k.IntAnd()(exponent, m, m)
			k.VPADDD(grid, m, m)
			k.VADDPS(m, q, q)
			k.VSUBPS(m, q, q)
			return x, q
		}
	}),
	cost("costINT4", func(k *wide.Kernel) rounding {
		least, most := k.Constant(table.At("MINUS8")), k.Constant(table.At("SEVEN"))
		return func(w operand.Mem, s wide.Vec) (x, q wide.Vec) {
			x, q = k.Vec(), k.Vec()
			k.VMOVUPS(w, x)
			k.VDIVPS(s, x, q)
			k.VMAXPS(least, q, q)
			k.VMINPS(most, q, q)
			if k.AVX512 {
				k.VRNDSCALEPS(operand.U8(0), q, q)
			} else {
				k.VROUNDPS(operand.U8(0), q, q)
			}
			return x, q
		}
	}),
}

// rounding returns the weights at w, or their magnitudes, and their codes under the
// multiplier s as numbers.
type rounding func(w operand.Mem, s wide.Vec) (x, q wide.Vec)

func cost(name string, constants func(k *wide.Kernel) rounding) wide.Func {
	return wide.Func{Name: name, Signature: costSignature, Body: func(k *wide.Kernel) {
		cost, mult, count := k.Argument("cost"), k.Argument("mult"), k.Argument("k")
		w, u, n := k.GP64(), k.GP64(), k.GP64()
		round := constants(k)
		sums, s := k.Vecs(8/k.Doubles()), k.Vec()

		k.Label("scale")
		k.Load(k.Param("w"), w)
		k.Load(k.Param("u"), u)
		k.Load(k.Param("n"), n)
		k.VBROADCASTSS(operand.Mem{Base: mult}, s)
		for _, v := range sums {
			k.VXORPD(v, v, v)
		}

		k.Align()
		k.Label("loop")
		x, q := round(operand.Mem{Base: w}, s)
		k.VMULPS(s, q, q)
		k.VSUBPS(q, x, q)
		halves := k.Halves(q)
		k.Each(k.VMULPD, halves, halves, halves)
		for i, v := range halves {
			k.VMULPD(operand.Mem{Base: u, Disp: i * 4 * k.Lanes}, v, v)
		}
		k.AddDoubles(sums, halves)
		k.ADDQ(operand.U32(4*k.Lanes), w)
		k.ADDQ(operand.U32(8*k.Lanes), u)
		k.SUBQ(operand.U32(k.Lanes), n)
		k.JNZ(operand.LabelRef("loop"))

		k.VMOVSD(k.FoldDoubles(k.VADDPD, sums).AsX(), operand.Mem{Base: cost})
		k.ADDQ(operand.U8(8), cost)
		k.ADDQ(operand.U8(4), mult)
		k.DECQ(count)
		k.JNZ(operand.LabelRef("scale"))
	}}
}
