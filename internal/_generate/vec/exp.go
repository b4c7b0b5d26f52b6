package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"generate/wide"
)

// Places in expTable and exp64Table (tables_amd64.go). The coefficients lie between
// expLn2lo and the last entry, 1.
const expLo, expHi, expLog2e, expMagic, expLn2hi, expLn2lo, expFirst = 0, 1, 2, 3, 4, 5, 6

// exponential writes e^x, the operations of exp1 (exp.go) or exp64 (expsums.go) in their
// order.
type exponential struct {
	*wide.Kernel
	wide.Floats
	table     string
	one       int        // the last entry of the table
	shift     operand.U8 // from bit 0 to the exponent
	shifts    wide.Op    // left
	constants map[int]wide.Vec
}

// newExponential loads the constants that have a register: all but the coefficients in
// AVX-512, two or none in AVX2, which has no more registers.
func newExponential(k *wide.Kernel, double bool) *exponential {
	e := &exponential{k, k.Singles(), "expTable", 11, 23, k.VPSLLD, map[int]wide.Vec{}}
	kept := []int{expMagic, e.one}
	if double {
		e = &exponential{k, k.DoubleFloats(), "exp64Table", 16, 52, k.VPSLLQ, map[int]wide.Vec{}}
		kept = nil
	}
	if k.AVX512 {
		kept = []int{expLo, expHi, expLog2e, expMagic, expLn2hi, expLn2lo, expFirst, e.one}
	}
	for _, i := range kept {
		e.constants[i] = e.constant(i)
	}
	return e
}

func (e *exponential) constant(i int) wide.Vec {
	if v, ok := e.constants[i]; ok {
		return v
	}
	v := e.Vec()
	e.Fill(wide.Table(e.table, i*e.Size), v)
	return v
}

// of replaces the numbers x by their exponentials; low says that none is positive. NaN
// passes maximum and minimum as their second source, the first operand here.
func (e *exponential) of(x []wide.Vec, low bool) {
	n := len(x)
	t, r, q, a := e.Vecs(n), e.Vecs(n), e.Vecs(n), e.Vecs(n) // t; n, then n·ln2lo; r, then r²; q
	if !low {
		e.Each(e.Min, x, e.constant(expHi), x)
	}
	e.Each(e.Max, x, e.constant(expLo), x)
	e.Each(e.Mul, e.constant(expLog2e), x, t)
	magic := e.constant(expMagic)
	e.Each(e.Add, magic, t, t)
	e.Each(e.Sub, magic, t, r)
	e.Each(e.Mul, e.constant(expLn2hi), r, q)
	e.Each(e.Mul, e.constant(expLn2lo), r, r)
	e.Each(e.Sub, q, x, x)
	e.Each(e.Sub, r, x, q)
	e.Each(e.Mul, q, e.constant(expFirst), a)
	for i := expFirst + 1; i < e.one; i++ {
		if i == e.one-1 { // the last factor is r²
			e.Each(e.Mul, q, q, q)
		}
		e.AddTable(wide.Table(e.table, i*e.Size), a)
		e.Each(e.Mul, q, a, a)
	}
	e.Each(e.Sub, r, a, a)
	e.Each(e.Add, a, x, x)
	e.Each(e.Add, e.constant(e.one), x, x)
	for _, v := range t {
		e.shifts(e.shift, v, v)
	}
	e.Each(e.Add, x, x, x)
	e.Each(e.Mul, t, x, x)
}

// quotients makes x, numbers y, the quotients of a and 1+y.
func (e *exponential) quotients(a any, x []wide.Vec) {
	e.Each(e.VADDPS, e.constant(e.one), x, x)
	e.Each(e.VDIVPS, x, a, x)
}

var exponentials = []wide.Func{
	{Name: "exp", Signature: "func(dst, x []float32)", Body: func(k *wide.Kernel) {
		dst, x := k.Pointer("dst"), k.Pointer("x")
		k.Count("x")
		e := newExponential(k, false)
		loop(k, []reg.GPVirtual{x, dst}, func(s *wide.Step) {
			v := s.Load(x)
			e.of(v, false)
			s.Store(v, dst)
		})
	}},
	{Name: "sigmoid", Signature: "func(dst, x []float32)", Body: func(k *wide.Kernel) {
		dst, x := k.Pointer("dst"), k.Pointer("x")
		k.Count("x")
		e, signs := newExponential(k, false), k.Signs()
		loop(k, []reg.GPVirtual{x, dst}, func(s *wide.Step) {
			v := s.Vecs(s.Side)
			s.Each(s.VXORPS, s.Mem(x), signs, v)
			e.of(v, false)
			e.quotients(e.constant(e.one), v)
			s.Store(v, dst)
		})
	}},
	{Name: "softExp", Signature: "func(x []float32, m float32) float32", Body: func(k *wide.Kernel) {
		x := k.Pointer("x")
		k.Count("x")
		m, sums, e := k.Broadcast("m"), k.Sums(), newExponential(k, false)
		loop(k, []reg.GPVirtual{x}, func(s *wide.Step) {
			v := s.Load(x)
			s.Each(s.VSUBPS, m, v, v)
			e.of(v, true)
			s.Store(v, x)
			s.Keep(v)
			s.AddLanes(sums, v)
		})
		k.Return(k.Fold(k.VADDPS, sums))
	}},
}
