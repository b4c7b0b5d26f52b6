package gemm

import (
	"math/rand/v2"
	"testing"

	"quern/internal/cpu/cputest"
)

// chain is an output of Mul by its definition.
func chain(x []float32, w *Weight, o int) (s float32) {
	for i := range w.In {
		s = fma(x[i], value(w, o, i), s)
	}
	return s
}

func TestMulIsAChain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range runs(300) {
		maxIn := 200
		if n%25 == 0 {
			maxIn = 3 * blockK
		}
		s := randomShape(r, allFormats[n%4], 70, maxIn)
		f := []numbers{normal, spread, wild}[r.IntN(3)]
		w := s.make(r, f)
		rows, add := 1+r.IntN(20), r.IntN(2) == 0
		ldx, ldy := s.in+r.IntN(20), s.out+r.IntN(20)
		x := floats(r, (rows-1)*ldx+s.in, f)
		o := Options{Add: add, Workers: 1 + r.IntN(3)}

		// With no inputs Add leaves what there was.
		want := mul(Mul).run(t, x, ldx, rows, ldy, &Weight{Out: s.out}, Options{Add: true})
		for m := range rows {
			for o := range s.out {
				sum := chain(x[m*ldx:], &w, o)
				if add {
					sum += want[m*s.out+o]
				}
				want[m*s.out+o] = sum
			}
		}
		for _, p := range paths() {
			cputest.Use(t, p.name)
			got := mul(Mul).run(t, x, ldx, rows, ldy, &w, o)
			same(t, got, want, "path %s: %v, %d rows, %+v", p.name, s, rows, o)
		}
	}
}
