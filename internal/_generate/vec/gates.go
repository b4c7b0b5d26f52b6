package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"

	"generate/wide"
)

var gates = []wide.Func{
	{Name: "siluMul", Signature: "func(dst, gate, up []float32)", Body: func(k *wide.Kernel) {
		dst, gate, up := k.Pointer("dst"), k.Pointer("gate"), k.Pointer("up")
		k.Count("gate")
		e, signs := newExponential(k, false), k.Signs()
		loop(k, []reg.GPVirtual{gate, up, dst}, func(s *wide.Step) {
			v := s.Vecs(s.Side)
			s.Each(s.VXORPS, s.Mem(gate), signs, v)
			e.of(v, false)
			e.quotients(s.Load(gate), v)
			s.Each(s.VMULPS, s.Mem(up), v, v)
			s.Store(v, dst)
		})
	}},
	{Name: "clampedSwiGLU", Signature: "func(dst, gateUp []float32, alpha, limit float32)", Body: func(k *wide.Kernel) {
		dst, pairs := k.Pointer("dst"), k.Pointer("gateUp")
		k.Count("dst")
		alpha, limit, least := k.Broadcast("alpha"), k.Broadcast("limit"), k.Signs()
		k.VXORPS(least, alpha, alpha) // −alpha
		k.VXORPS(least, limit, least) // −limit
		e := newExponential(k, false)
		streams := []wide.Stream{{Base: pairs, Bytes: 8}, {Base: dst, Bytes: 4}}
		k.Loop(k.Side, k.Lanes, streams, func(s *wide.Step) {
			v := apart(s, s.LoadPairs(pairs), false)
			s.Each(s.VMINPS, v, limit, v)
			s.Each(s.VMULPS, alpha, v, v)
			e.of(v, false)
			both := s.LoadPairs(pairs)
			gate := apart(s, both, false)
			s.Each(s.VMINPS, gate, limit, gate)
			e.quotients(gate, v)
			up := apart(s, both, true)
			s.Each(s.VMINPS, up, limit, up)
			s.Each(s.VMAXPS, up, least, up)
			s.Each(s.VADDPS, e.constant(e.one), up, up)
			s.Each(s.VMULPS, v, up, v)
			together(s, v)
			s.Store(v, dst)
		})
	}},
}

// apart returns the first or second of each pair. VSHUFPS works within 128 bits, which
// leaves them in the order 0 1 4 5 2 3 6 7, in AVX-512 0 1 8 9 2 3 10 11 …
func apart(s *wide.Step, pairs []wide.Vec, second bool) []wide.Vec {
	which := operand.U8(0x88)
	if second {
		which = 0xdd
	}
	vs := s.Vecs(s.Side)
	for i, v := range vs {
		s.VSHUFPS(which, pairs[2*i+1], pairs[2*i], v)
	}
	return vs
}

// together is the way back from the order of apart.
func together(s *wide.Step, vs []wide.Vec) {
	if !s.AVX512 {
		for _, v := range vs {
			s.VPERMPD(operand.U8(0xd8), v, v)
		}
		return
	}
	order := s.Vec()
	s.VPMOVZXBQ(wide.Table("gateOrder", 0), order)
	for _, v := range vs {
		s.VPERMPD(v, order, v)
	}
}
