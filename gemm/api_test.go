package gemm

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/internal/cpu/cputest"
)

func TestEmptyProducts(t *testing.T) {
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for what, f := range map[string]mul{"Mul": Mul, "MulFew": MulFew} {
			f(nil, 0, nil, 0, 0, &Weight{}, Options{})
			f(nil, 3, nil, 5, 0, &Weight{Out: 3, In: 5, Data: make([]byte, 60)}, Options{})
			f(nil, 0, make([]float32, 10), 5, 2, &Weight{In: 5}, Options{})
			f(nil, 0, make([]float32, 10), 5, 2, &Weight{In: 5, Format: E4M3, Scales: []float32{}, TileOut: 1, TileIn: 1}, Options{})
			minus := float32(math.Copysign(0, -1))
			y := []float32{1, minus, 3, 4}
			f(y, 2, nil, 0, 2, &Weight{Out: 1}, Options{Add: true})
			f(y[1:], 2, nil, 0, 1, &Weight{Out: 1}, Options{Add: true})
			same(t, y, []float32{1, 0, 3, 4}, "path %s: %s adding no inputs", p.name, what)
			f(y, 2, nil, 0, 2, &Weight{Out: 1}, Options{})
			same(t, y, []float32{0, 0, 0, 4}, "path %s: %s without inputs", p.name, what)
		}
	}
}

func TestWrongSizesPanic(t *testing.T) {
	n := make([]float32, 100)
	good := func() Weight { return Weight{Out: 4, In: 5, Data: make([]byte, 80)} }
	e4m3 := func() Weight {
		return Weight{Out: 4, In: 5, Format: E4M3, Data: make([]byte, 20), Scales: make([]float32, 4), TileOut: 2, TileIn: 3}
	}
	for _, c := range []struct {
		what string
		call func(f mul)
	}{
		{"y: 11 elements are too few for 3 rows of 4", func(f mul) { w := good(); f(n[:11], 4, n, 5, 3, &w, Options{}) }},
		{"x: 14 elements are too few for 3 rows of 5", func(f mul) { w := good(); f(n, 4, n[:14], 5, 3, &w, Options{}) }},
		{"y: 3 rows of 4 elements, 3 apart", func(f mul) { w := good(); f(n, 3, n, 5, 3, &w, Options{}) }},
		{"x: 3 rows of 5 elements, 4 apart", func(f mul) { w := good(); f(n, 4, n, 4, 3, &w, Options{}) }},
		{"y: -1 rows", func(f mul) { w := good(); f(n, 4, n, 5, -1, &w, Options{}) }},
		{"y: 100 elements are too few for 3 rows of 4", func(f mul) { w := good(); f(n, math.MaxInt, n, 5, 3, &w, Options{}) }},
		{"weights: 19 elements are too few", func(f mul) { w := good(); w.Data = w.Data[:79]; f(n, 4, n, 5, 3, &w, Options{}) }},
		{"weights: 20 elements are too few for 5 rows of 4, 5 apart", func(f mul) { w := good(); w.Transposed, w.Stride = true, 5; f(n, 4, n, 5, 3, &w, Options{}) }},
		{"weights: 4 rows of 5 elements, 4 apart", func(f mul) { w := good(); w.Stride = 4; f(n, 4, n, 5, 3, &w, Options{}) }},
		{"weights of shape [-1 5]", func(f mul) { w := good(); w.Out = -1; f(n, 4, n, 5, 3, &w, Options{}) }},
		{"weights of Format(9)", func(f mul) { w := good(); w.Format = 9; f(n, 4, n, 5, 3, &w, Options{}) }},
		{"scales for weights of F32", func(f mul) { w := good(); w.Scales = n; f(n, 4, n, 5, 3, &w, Options{}) }},
		{"scales for weights of F8_E4M3, transposed true", func(f mul) { w := e4m3(); w.Transposed = true; f(n, 4, n, 5, 3, &w, Options{}) }},
		{"3 scales for a grid of 2×2", func(f mul) { w := e4m3(); w.Scales = w.Scales[:3]; f(n, 4, n, 5, 3, &w, Options{}) }},
		{"tiles of 0×3", func(f mul) { w := e4m3(); w.TileOut = 0; f(n, 4, n, 5, 3, &w, Options{}) }},
	} {
		for name, f := range map[string]mul{"Mul": Mul, "MulFew": MulFew} {
			func() {
				defer func() {
					if s, _ := recover().(string); !strings.HasPrefix(s, "gemm: ") || !strings.Contains(s, c.what) {
						t.Errorf("%s: panic %q, want %q", name, s, c.what)
					}
				}()
				c.call(f)
			}()
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("MulFew took nine rows")
		}
	}()
	w := good()
	MulFew(n, 4, n, 5, 9, &w, Options{})
}

// Nothing is allocated once the pools are filled.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools lose things")
	}
	r := rand.New(rand.NewPCG(13, 13))
	for _, p := range fastPaths() {
		cputest.Use(t, p.name)
		for _, s := range []shape{
			{out: 64, in: 600},
			{out: 400, in: 800, format: BF16},
			{out: 300, in: 1024, format: E4M3, tileOut: 128, tileIn: 128},
			{out: 300, in: 1024, format: F16},
		} {
			w := s.make(r, normal)
			x, y := floats(r, 20*s.in, normal), make([]float32, 20*s.out)
			for _, o := range []Options{{Workers: 1}, {Workers: 2}, {Workers: 2, Add: true, BF16: true}} {
				// Goroutines that start late may need another workspace; so some slack.
				if n := testing.AllocsPerRun(20, func() {
					Mul(y, s.out, x, s.in, 20, &w, o)
					MulFew(y, s.out, x, s.in, 5, &w, o)
				}); n >= 1 {
					t.Errorf("path %s: %v, %+v: %v allocations a call", p.name, s, o, n)
				}
			}
		}
	}
}
