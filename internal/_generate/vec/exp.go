package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"generate/wide"
)

// Offsets in expTable (tables_amd64.go). The coefficients C6…C2 lie between.
const (
	expLo, expHi, expLog2e, expMagic, expLn2hi, expLn2lo = 0, 4, 8, 12, 16, 20
	expC6, expC2, expOne                                 = 24, 40, 44
)

// exponential writes e^x, the operations of exp1 (exp.go) in its order.
type exponential struct {
	*wide.Kernel
	constants map[int]wide.Vec
}

// newExponential loads the constants that have a register: all but the coefficients in
// AVX-512, two in AVX2, which has no more registers.
func newExponential(k *wide.Kernel) *exponential {
	e := &exponential{k, map[int]wide.Vec{}}
	kept := []int{expMagic, expOne}
	if k.AVX512 {
		kept = []int{expLo, expHi, expLog2e, expMagic, expLn2hi, expLn2lo, expC6, expOne}
	}
	for _, at := range kept {
		e.constants[at] = e.constant(at)
	}
	return e
}

func (e *exponential) constant(at int) wide.Vec {
	if v, ok := e.constants[at]; ok {
		return v
	}
	v := e.Vec()
	e.VBROADCASTSS(wide.Table("expTable", at), v)
	return v
}

// of replaces the numbers x by their exponentials; low says that none is positive. NaN
// passes VMAXPS and VMINPS as their second source, the first operand here.
func (e *exponential) of(x []wide.Vec, low bool) {
	n := len(x)
	t, r, q, a := e.Vecs(n), e.Vecs(n), e.Vecs(n), e.Vecs(n) // t; n, then n·ln2lo; r, then r²; q
	if !low {
		e.Each(e.VMINPS, x, e.constant(expHi), x)
	}
	e.Each(e.VMAXPS, x, e.constant(expLo), x)
	e.Each(e.VMULPS, e.constant(expLog2e), x, t)
	magic := e.constant(expMagic)
	e.Each(e.VADDPS, magic, t, t)
	e.Each(e.VSUBPS, magic, t, r)
	e.Each(e.VMULPS, e.constant(expLn2hi), r, q)
	e.Each(e.VMULPS, e.constant(expLn2lo), r, r)
	e.Each(e.VSUBPS, q, x, x)
	e.Each(e.VSUBPS, r, x, q)
	e.Each(e.VMULPS, q, e.constant(expC6), a)
	for at := expC6 + 4; at <= expC2; at += 4 {
		if at == expC2 { // the last factor is r²
			e.Each(e.VMULPS, q, q, q)
		}
		e.AddTable("expTable", at, a)
		e.Each(e.VMULPS, q, a, a)
	}
	e.Each(e.VSUBPS, r, a, a)
	e.Each(e.VADDPS, a, x, x)
	e.Each(e.VADDPS, e.constant(expOne), x, x)
	for _, v := range t {
		e.VPSLLD(operand.U8(23), v, v)
	}
	e.Each(e.VADDPS, x, x, x)
	e.Each(e.VMULPS, t, x, x)
}

// quotients makes x, numbers y, the quotients of a and 1+y.
func (e *exponential) quotients(a any, x []wide.Vec) {
	e.Each(e.VADDPS, e.constant(expOne), x, x)
	e.Each(e.VDIVPS, x, a, x)
}

var exponentials = []wide.Func{
	{Name: "exp", Signature: "func(dst, x []float32)", Body: func(k *wide.Kernel) {
		dst, x := k.Pointer("dst"), k.Pointer("x")
		k.Count("x")
		e := newExponential(k)
		loop(k, []reg.GPVirtual{x, dst}, func(s *wide.Step) {
			v := s.Load(x)
			e.of(v, false)
			s.Store(v, dst)
		})
	}},
	{Name: "sigmoid", Signature: "func(dst, x []float32)", Body: func(k *wide.Kernel) {
		dst, x := k.Pointer("dst"), k.Pointer("x")
		k.Count("x")
		e, signs := newExponential(k), k.Signs()
		loop(k, []reg.GPVirtual{x, dst}, func(s *wide.Step) {
			v := s.Vecs(s.Side)
			s.Each(s.VXORPS, s.Mem(x), signs, v)
			e.of(v, false)
			e.quotients(e.constant(expOne), v)
			s.Store(v, dst)
		})
	}},
	{Name: "softExp", Signature: "func(x []float32, m float32) float32", Body: func(k *wide.Kernel) {
		x := k.Pointer("x")
		k.Count("x")
		m, sums, e := k.Broadcast("m"), k.Sums(), newExponential(k)
		loop(k, []reg.GPVirtual{x}, func(s *wide.Step) {
			v := s.Load(x)
			s.Each(s.VSUBPS, m, v, v)
			e.of(v, true)
			s.Store(v, x)
			s.Keep(v)
			s.Add(sums, v)
		})
		k.Return(k.Fold(k.VADDPS, sums))
	}},
}
