package gemm

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/internal/cpu/cputest"
)

// pairChain is an output of Mul with BF16 by its definition.
func pairChain(x []float32, w *Weight, o int) (s float32) {
	at := func(i int) (a, b float32) {
		if i >= w.In {
			return 0, 0
		}
		return toBF16(x[i]), toBF16(value(w, o, i))
	}
	for i := 0; i < w.In; i += 2 {
		a, b := at(i + 1)
		s = fmaFlush(a, b, s)
		a, b = at(i)
		s = fmaFlush(a, b, s)
	}
	return s
}

// useTwin takes the pair kernels from a path for the rest of a test.
func useTwin(t testing.TB, p *path) {
	old := p.pairs
	p.pairs = nil
	t.Cleanup(func() { p.pairs = old })
}

func TestMulBF16(t *testing.T) {
	for _, twin := range []bool{false, true} {
		r := rand.New(rand.NewPCG(3, 3))
		for n := range runs(200) {
			maxIn := 100
			if n%25 == 0 {
				maxIn = 2*blockK + 50
			}
			s := randomShape(r, allFormats[n%4], 70, maxIn)
			f := []numbers{normal, spread, wild}[r.IntN(3)]
			w := s.make(r, f)
			rows, add := 1+r.IntN(20), r.IntN(2) == 0
			ldx, ldy := s.in+r.IntN(20), s.out+r.IntN(20)
			x := floats(r, (rows-1)*ldx+s.in, f)
			o := Options{Add: add, Workers: 1, BF16: true}
			want := mul(Mul).run(t, x, ldx, rows, ldy, &Weight{Out: s.out}, Options{Add: true})
			for m := range rows {
				for o := range s.out {
					sum := pairChain(x[m*ldx:], &w, o)
					if add {
						sum += want[m*s.out+o]
					}
					want[m*s.out+o] = sum
				}
			}
			for _, p := range paths() {
				if twin {
					useTwin(t, p)
				}
				cputest.Use(t, p.name)
				got := mul(Mul).run(t, x, ldx, rows, ldy, &w, o)
				same(t, got, want, "path %s, twin %v: %v, %d rows, %+v", p.name, twin, s, rows, o)
			}
		}
	}
}

// The instructions themselves, which the assembler does not know, on operands
// chosen to tell their bytes and their arithmetic apart.
func TestPairsArithmetic(t *testing.T) {
	i := slices.IndexFunc(paths(), func(p *path) bool { return p.pairs != nil })
	if i < 0 {
		t.Skip("no VDPBF16PS here")
	}
	p := paths()[i]
	r := rand.New(rand.NewPCG(4, 4))
	gen := []numbers{
		normal,
		spread,
		func(r *rand.Rand) float32 { return float32(math.Ldexp(r.Float64()-0.5, -58-r.IntN(12))) }, // products around the smallest normal number
		func(r *rand.Rand) float32 { return math.Float32frombits(r.Uint32()) },
	}
	for n := range 2000 {
		f := gen[n%len(gen)]
		rows, k := 1+r.IntN(p.mr), 1+r.IntN(3)
		a, b := floats(r, rows*k*2, f), floats(r, 2*k*p.nr, f)
		pa := make([]float32, rows*k)
		for m := range rows {
			p.pairs.roundRow(pa[m*k:][:k], a[m*2*k:][:2*k])
		}
		pb := slices.Clone(b)
		p.pairs.roundPanel(pb, 2*k)
		got := make([]float32, rows*p.nr)
		p.pairs.kernel(got, p.nr, pa, k, pb, p.nr, k, rows, p.nr, 0, fetch{})
		want := make([]float32, rows*p.nr)
		for m := range rows {
			for c := range p.nr {
				for i := range k {
					for _, j := range []int{2*i + 1, 2 * i} {
						want[m*p.nr+c] = fmaFlush(toBF16(a[m*2*k+j]), toBF16(b[j*p.nr+c]), want[m*p.nr+c])
					}
				}
			}
		}
		same(t, got, want, "numbers %d, %d rows, %d pairs", n%len(gen), rows, k)
	}
}
