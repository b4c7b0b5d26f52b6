package main

import (
	"generate/wide"
)

var rounding = []wide.Func{
	// x becomes the E4M3 number next to x/s, times s (quantize.go).
	{Name: "quantize", Signature: "func(x []float32, s float32)", Body: func(k *wide.Kernel) {
		p := k.Pointer("x")
		k.Count("x")
		scale := k.Broadcast("s")
		var table [4]wide.Vec
		for i := range table {
			table[i] = k.Vec()
			k.VPBROADCASTD(wide.Table("e4m3Table", 4*i), table[i])
		}
		exponent, least, grid, sign := table[0], table[1], table[2], table[3]
		k.Loop(1, k.Lanes, floats(p), func(s *wide.Step) {
			x := s.Load(p)[0]
			s.VDIVPS(scale, x, x)
			magnitude, m := s.Vec(), s.Vec()
			s.VANDNPS(x, sign, magnitude)
			s.VANDPS(sign, x, x)
			s.VANDPS(exponent, magnitude, m)
			s.VPMAXUD(least, m, m)
			s.VPADDD(grid, m, m)
			s.VADDPS(m, magnitude, magnitude)
			s.VSUBPS(m, magnitude, magnitude)
			s.VORPS(x, magnitude, magnitude)
			s.VMULPS(scale, magnitude, magnitude)
			s.Store([]wide.Vec{magnitude}, p)
		})
	}},
}
