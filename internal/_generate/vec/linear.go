package main

import (
	"github.com/mmcloughlin/avo/reg"

	"generate/wide"
)

var linear = []wide.Func{
	{Name: "dot", Signature: "func(a, b []float32) float32", Body: func(k *wide.Kernel) {
		a, b := k.Pointer("a"), k.Pointer("b")
		k.Count("a")
		sums := k.Sums()
		loop(k, []reg.GPVirtual{a, b}, func(s *wide.Step) {
			x := s.Load(a)
			s.Each(s.VMULPS, s.Mem(b), x, x)
			s.AddLanes(sums, x)
		})
		k.Return(k.Fold(k.VADDPS, sums))
	}},
	{Name: "axpy", Signature: "func(y []float32, alpha float32, x []float32)", Body: func(k *wide.Kernel) {
		y, x := k.Pointer("y"), k.Pointer("x")
		k.Count("y")
		alpha := k.Broadcast("alpha")
		loop(k, []reg.GPVirtual{x, y}, func(s *wide.Step) {
			v := s.Vecs(s.Side)
			s.Each(s.VMULPS, s.Mem(x), alpha, v)
			s.Each(s.VADDPS, s.Mem(y), v, v)
			s.Store(v, y)
		})
	}},
	update("add", func(k *wide.Kernel) wide.Op { return k.VADDPS }),
	update("mul", func(k *wide.Kernel) wide.Op { return k.VMULPS }),
	{Name: "scale", Signature: "func(dst, x []float32, alpha float32)", Body: func(k *wide.Kernel) {
		dst, x := k.Pointer("dst"), k.Pointer("x")
		k.Count("x")
		alpha := k.Broadcast("alpha")
		loop(k, []reg.GPVirtual{x, dst}, func(s *wide.Step) {
			v := s.Vecs(s.Side)
			s.Each(s.VMULPS, s.Mem(x), alpha, v)
			s.Store(v, dst)
		})
	}},
	{Name: "scaleMul", Signature: "func(dst, x, w []float32, alpha float32)", Body: func(k *wide.Kernel) {
		dst, x, w := k.Pointer("dst"), k.Pointer("x"), k.Pointer("w")
		k.Count("x")
		alpha := k.Broadcast("alpha")
		loop(k, []reg.GPVirtual{x, w, dst}, func(s *wide.Step) {
			v := s.Vecs(s.Side)
			s.Each(s.VMULPS, s.Mem(x), alpha, v)
			s.Each(s.VMULPS, s.Mem(w), v, v)
			s.Store(v, dst)
		})
	}},
}

// update applies an instruction to y and x, into y.
func update(name string, op func(k *wide.Kernel) wide.Op) wide.Func {
	return wide.Func{Name: name, Signature: "func(y, x []float32)", Body: func(k *wide.Kernel) {
		y, x := k.Pointer("y"), k.Pointer("x")
		k.Count("y")
		loop(k, []reg.GPVirtual{x, y}, func(s *wide.Step) {
			v := s.Load(y)
			s.Each(op(k), s.Mem(x), v, v)
			s.Store(v, y)
		})
	}}
}

// loop is a loop over rows of float32.
func loop(k *wide.Kernel, rows []reg.GPVirtual, body func(s *wide.Step)) {
	k.Loop(k.Side, k.Lanes, floats(rows...), body)
}

// floats are streams of float32.
func floats(rows ...reg.GPVirtual) []wide.Stream {
	streams := make([]wide.Stream, len(rows))
	for i, r := range rows {
		streams[i] = wide.Stream{Base: r, Bytes: 4}
	}
	return streams
}
