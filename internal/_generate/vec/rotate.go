package main

import (
	"github.com/mmcloughlin/avo/operand"

	"generate/wide"
)

var rotations = []wide.Func{
	{Name: "rotate", Signature: "func(x, cos, sin []float32)", Body: func(k *wide.Kernel) {
		first, cos := k.Pointer("x"), k.Pointer("cos")
		k.Count("cos")
		sin, second := k.Pointer("sin"), k.GP64()
		k.Load(k.Param("cos").Len(), second)
		k.LEAQ(operand.Mem{Base: first, Index: second, Scale: 4}, second)
		k.Loop(1, k.Lanes, floats(first, second, cos, sin), func(s *wide.Step) {
			x, y, c, n := s.Load(first), s.Load(second), s.Load(cos), s.Load(sin)
			turned, other := s.Vecs(1), s.Vecs(1)
			s.Each(s.VMULPS, c, x, turned)
			s.Each(s.VMULPS, n, y, other)
			s.Each(s.VSUBPS, other, turned, turned)
			s.Each(s.VMULPS, c, y, y)
			s.Each(s.VMULPS, n, x, x)
			s.Each(s.VADDPS, x, y, y)
			s.Store(turned, first)
			s.Store(y, second)
		})
	}},
	{Name: "rotateInterleaved", Signature: "func(x, cos, sin []float32)", Body: func(k *wide.Kernel) {
		pairs, cos, sin := k.Pointer("x"), k.Pointer("cos"), k.Pointer("sin")
		k.Count("cos")
		evenSigns := k.EvenSigns()
		streams := []wide.Stream{{Base: pairs, Bytes: 8}, {Base: cos, Bytes: 4}, {Base: sin, Bytes: 4}}
		k.Loop(1, k.Lanes/2, streams, func(s *wide.Step) {
			x, y := s.LoadPair(pairs), s.Vec()
			c, n := s.HalfLoad(cos), s.HalfLoad(sin)
			s.VMOVSLDUP(c, c)
			s.VMOVSLDUP(n, n)
			s.VPERMILPS(operand.U8(0xb1), x, y)
			s.VMULPS(c, x, x)
			s.AddSub(x, n, y, evenSigns)
			s.StorePair(x, pairs)
		})
	}},
}
