package main

import (
	"github.com/mmcloughlin/avo/operand"

	"generate/wide"
)

var energies = []wide.Func{
	// A NaN never becomes the maximum: VMAXPD then takes its second source, the first
	// operand here.
	{Name: "energies", Signature: "func(a, b []byte) (aa, bb, dd, most float64)", Body: func(k *wide.Kernel) {
		a, b := k.Pointer("a"), k.Pointer("b")
		k.CountFloats("a")
		aa, bb, dd, most := k.DoubleSums(), k.DoubleSums(), k.DoubleSums(), k.DoubleSums()
		k.Loop(2, k.Doubles(), floats(a, b), func(s *wide.Step) {
			x, y := s.LoadDoubles(a), s.LoadDoubles(b)
			d := s.Vecs(s.Side)
			s.Each(s.VSUBPD, y, x, d)
			for _, v := range [][]wide.Vec{x, y, d} {
				s.Each(s.VMULPD, v, v, v)
			}
			s.AddDoubles(aa, x)
			s.AddDoubles(bb, y)
			s.AddDoubles(dd, d)
			for i, v := range d {
				m := most[i%len(most)]
				s.VMAXPD(m, v, m)
			}
		})
		for i, sum := range [][]wide.Vec{aa, bb, dd} {
			k.ReturnDouble(i, k.FoldDoubles(k.VADDPD, sum))
		}
		k.ReturnDouble(3, k.FoldDoubles(k.VMAXPD, most))
	}},
}

var expSums = []wide.Func{
	{Name: "expSum", Signature: "func(a []float32, shift float64) float64", Body: func(k *wide.Kernel) {
		a := k.Pointer("a")
		k.Count("a")
		sums, e := k.DoubleSums(), newExponential(k, true)
		k.Loop(k.Side, k.Doubles(), floats(a), func(s *wide.Step) {
			x := s.LoadDoubles(a)
			shifted(s, "shift", x, x)
			e.of(x, false)
			s.KeepDoubles(x)
			s.AddDoubles(sums, x)
		})
		k.ReturnDouble(0, k.FoldDoubles(k.VADDPD, sums))
	}},
	// AVX2 has one register too few: half of the third sum is on the stack.
	{Name: "expSums", Signature: "func(a, b []float32, shiftA, shiftB float64) (ea, eb, d float64)", Body: func(k *wide.Kernel) {
		a, b := k.Pointer("a"), k.Pointer("b")
		k.Count("a")
		ea, eb, d := k.DoubleSums(), k.DoubleSums(), k.DoubleSums()
		var stack operand.Mem
		if !k.AVX512 {
			stack = k.AllocLocal(32)
			k.VMOVUPS(d[1], stack)
		}
		e := newExponential(k, true)
		k.Loop(2, k.Doubles(), floats(a, b), func(s *wide.Step) {
			x := s.LoadDoubles(a)
			shifted(s, "shiftA", x, x)
			e.of(x, false)
			s.KeepDoubles(x)
			s.AddDoubles(ea, x)
			terms, y := s.LoadDoubles(a), s.LoadDoubles(b)
			s.Each(s.VSUBPD, y, terms, terms)
			s.Each(s.VMULPD, terms, x, terms)
			for i, v := range terms {
				s.WhereNot0(x[i], v)
			}
			if s.AVX512 {
				s.AddDoubles(d, terms)
			} else {
				s.AddDoubles(d[:1], terms[:1])
				s.VADDPD(stack, terms[1], terms[1])
				s.VMOVUPS(terms[1], stack)
			}
			shifted(s, "shiftB", y, y)
			e.of(y, false)
			s.KeepDoubles(y)
			s.AddDoubles(eb, y)
		})
		if !k.AVX512 {
			d[1] = k.Vec()
			k.VMOVUPS(stack, d[1])
		}
		for i, sum := range [][]wide.Vec{ea, eb, d} {
			k.ReturnDouble(i, k.FoldDoubles(k.VADDPD, sum))
		}
	}},
}

// shifted subtracts a parameter from x.
func shifted(s *wide.Step, param string, x, dst []wide.Vec) {
	v := s.Vec()
	s.BroadcastDouble(param, v)
	s.Each(s.VSUBPD, v, x, dst)
}
