package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"generate/wide"
)

var extrema = []wide.Func{
	// What VMAXPS makes of a NaN does not matter: a flag tells that there was one.
	{Name: "max", Signature: "func(x []float32) float32", Body: func(k *wide.Kernel) {
		x := k.Pointer("x")
		k.Count("x")
		lowest := k.Ones()
		k.VPSLLD(operand.U8(23), lowest, lowest) // −Inf
		most := k.Vecs(k.Side)
		for _, v := range most {
			k.VMOVAPS(lowest, v)
		}
		nan := k.NewFlag()
		loop(k, []reg.GPVirtual{x}, func(s *wide.Step) {
			v := s.LoadOr(x, lowest)
			nan.Unordered(v)
			s.Each(s.VMAXPS, most, v, most[:len(v)])
		})
		nan.Jump("nan")
		v, zero := k.Fold(k.VMAXPS, most), k.Zeros(1)[0]
		k.VADDSS(zero.AsX(), v.AsX(), v.AsX()) // −0 becomes +0
		k.Return(v)
		k.VZEROUPPER()
		k.RET()
		k.Label("nan")
		k.ReturnBits(0x7fc00000)
	}},
	{Name: "absMax", Signature: "func(x []float32) float32", Body: func(k *wide.Kernel) {
		x := k.Pointer("x")
		k.Count("x")
		magnitude := k.Ones()
		k.VPSRLD(operand.U8(1), magnitude, magnitude)
		most := k.Zeros(k.Side)
		loop(k, []reg.GPVirtual{x}, func(s *wide.Step) {
			v := s.Vecs(s.Side)
			s.Each(s.IntAnd(), s.Mem(x), magnitude, v)
			s.Each(s.VPMAXUD, v, most, most[:len(v)])
		})
		k.Return(k.FoldInt(k.VPMAXUD, most))
	}},
}
