//go:build !noasm

package fp8

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Every F16 pattern, and F64 numbers of every kind, against the scalar reading.
func TestDecodeElems(t *testing.T) {
	r := rand.New(rand.NewPCG(22, 22))
	f64 := make([]byte, 8<<14)
	for i := range 1 << 14 {
		x := math.Float64frombits(r.Uint64())
		switch i % 4 {
		case 1: // the range of float32, subnormal numbers and overflow included
			x = math.Ldexp(r.Float64()*2-1, r.IntN(290)-155)
		case 2: // ties
			x = float64(math.Float32frombits(r.Uint32()&0x7f7fffff)) * (1 + 0x1p-24)
		case 3:
			x = []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, 0x1p-149, 0x1p-150}[r.IntN(8)]
		}
		store(f64, ElemF64, i, x)
	}
	f16 := make([]byte, 2<<16)
	for p := range 1 << 16 {
		f16[2*p], f16[2*p+1] = byte(p), byte(p>>8)
	}
	bits := func(x []float32) (b []uint32) {
		for _, v := range x {
			b = append(b, math.Float32bits(v))
		}
		return b
	}
	for _, k := range []struct {
		name    string
		kernels *asmKernels
	}{{"avx2", &avx2Kernels}, {"avx512", &avx512Kernels}} {
		if !slices.Contains(fastPaths(), k.name) {
			continue
		}
		for _, s := range []struct {
			e    Elem
			data []byte
		}{{ElemBF16, f16}, {ElemF16, f16}, {ElemF32, f64}, {ElemF64, f64}} {
			for _, n := range []int{len(s.data) / s.e.Size(), 0, 1, 15, 16, 17, 127} {
				want, got := make([]float32, n), make([]float32, n)
				s.e.decode(want, s.data)
				k.kernels.decode(got, s.data, s.e)
				if w, g := bits(want), bits(got); !slices.Equal(w, g) {
					for i := range w {
						if w[i] != g[i] {
							t.Fatalf("%s, %v: element %d of %d: %#08x, want %#08x", k.name, s.e, i, n, g[i], w[i])
						}
					}
				}
			}
		}
	}
}
