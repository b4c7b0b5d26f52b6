package gemm

import (
	"math/rand/v2"
	"testing"

	"quern/internal/cpu/cputest"
)

// lanes is an output of MulFew by its definition.
func lanes(x []float32, w *Weight, o int) float32 {
	var l [16]float32
	for j := range l {
		for i := j; i < w.In; i += 16 {
			l[j] = fma(x[i], value(w, o, i), l[j])
		}
	}
	for i := range 8 {
		l[i] += l[i+8]
	}
	for i := range 4 {
		l[i] += l[i+4]
	}
	return (l[0] + l[2]) + (l[1] + l[3])
}

func TestMulFewByDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for n := range runs(300) {
		s := randomShape(r, allFormats[n%4], 40, 200)
		f := []numbers{normal, spread, wild}[r.IntN(3)]
		w := s.make(r, f)
		rows, add := 1+r.IntN(MaxFew), r.IntN(2) == 0
		ldx, ldy := s.in+r.IntN(20), s.out+r.IntN(20)
		x := floats(r, (rows-1)*ldx+s.in, f)
		definition := lanes
		if s.transposed {
			definition = chain
		}
		for _, p := range paths() {
			cputest.Use(t, p.name)
			got := mul(MulFew).run(t, x, ldx, rows, ldy, &w, Options{Add: add})
			before := mul(MulFew).run(t, x, ldx, rows, ldy, &Weight{Out: s.out}, Options{Add: true})
			for m := range rows {
				for o := range s.out {
					want := definition(x[m*ldx:], &w, o)
					if add {
						want += before[m*s.out+o]
					}
					same(t, got[m*s.out+o:][:1], []float32{want}, "path %s: %v, %d rows, add %v: row %d, column %d", p.name, s, rows, add, m, o)
				}
			}
		}
	}
}
