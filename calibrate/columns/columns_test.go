package columns

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quern/internal/cpu/cputest"
)

var draws = []func(r *rand.Rand) float32{
	func(r *rand.Rand) float32 { return float32(r.NormFloat64()) },
	func(r *rand.Rand) float32 { return math.Float32frombits(r.Uint32()) }, // of all kinds
	func(r *rand.Rand) float32 { return float32(math.Ldexp(r.NormFloat64(), r.IntN(270)-140)) },
	func(r *rand.Rand) float32 { return float32(math.Copysign(0, r.NormFloat64())) },
}

func same(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b }

// Every path gives the bits of the generic one, at every width, whatever lies in and
// around the block, and touches nothing else.
func TestPaths(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for width := 1; width <= Width; width++ {
		for _, rows := range []int{1, 2, 5} {
			draw := draws[r.IntN(len(draws))]
			stride := width + r.IntN(40)
			x := make([]float32, rows*stride+3)
			for i := range x {
				x[i] = float32(math.NaN()) // between the rows: must not count
			}
			for row := range rows {
				for c := range width {
					x[row*stride+c] = draw(r)
				}
			}
			begin := make([]float64, width)
			for i := range begin {
				begin[i] = r.Float64()
			}
			run := func(p string) ([]float64, []float32) {
				cputest.Use(t, p)
				sums, maxima := append([]float64{}, begin...), make([]float32, rows+2)
				sums = append(sums, -1, -2)
				maxima[rows], maxima[rows+1] = -1, -2
				Squares(sums[:width], maxima[:rows], x, stride)
				return sums, maxima
			}
			wantSums, wantMaxima := run("generic")
			for _, p := range paths() {
				sums, maxima := run(p.name)
				for i := range sums {
					if !same(sums[i], wantSums[i]) {
						t.Fatalf("%s, %d rows of %d: sum %d is %v instead of %v", p.name, rows, width, i, sums[i], wantSums[i])
					}
				}
				for i := range maxima {
					if !same(float64(maxima[i]), float64(wantMaxima[i])) {
						t.Fatalf("%s, %d rows of %d: maximum %d is %v instead of %v", p.name, rows, width, i, maxima[i], wantMaxima[i])
					}
				}
			}
		}
	}
}

// What the generic path computes is what the package says.
func TestSquares(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	x := []float32{1, -3, 2, 9, 0, float32(math.Copysign(0, -1)), -5, 9, nan, inf, 1, 9, 1, inf, 1}
	for _, p := range paths() {
		cputest.Use(t, p.name)
		sums, maxima := []float64{0.5, 0, 0}, make([]float32, 2)
		Squares(sums, maxima, x, 4)
		if fmt.Sprint(sums, maxima) != "[1.5 9 29] [3 5]" {
			t.Error(p.name, sums, maxima)
		}
		maxima = make([]float32, 4)
		Squares(sums, maxima, x, 4)
		if m := maxima[2]; m == m || maxima[3] != -inf {
			t.Error(p.name, maxima)
		}
		Squares(sums, nil, nil, 4)
	}
	for _, width := range []int{0, 5, Width + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("width %d passes", width)
				}
			}()
			Squares(make([]float64, width), make([]float32, 1), make([]float32, 200), max(width, 4)-width/5*width)
		}()
	}
}

// The sums do not depend on how the rows are divided into calls.
func TestDivided(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	const rows, width = 50, 72
	x := make([]float32, rows*width)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	want, got := make([]float64, width), make([]float64, width)
	maxima := make([]float32, rows)
	Squares(want, maxima, x, width)
	for at := 0; at < rows; {
		n := min(1+r.IntN(9), rows-at)
		Squares(got, maxima[:n], x[at*width:], width)
		at += n
	}
	for i := range want {
		if want[i] != got[i] {
			t.Fatalf("column %d: %v and %v", i, want[i], got[i])
		}
	}
}

func BenchmarkSquares(b *testing.B) {
	for _, p := range paths() {
		for _, width := range []int{128, 64, 96} {
			b.Run(fmt.Sprint(p.name, "/", width), func(b *testing.B) {
				cputest.Use(b, p.name)
				const rows, stride = 64, 512
				x := make([]float32, rows*stride)
				for i := range x {
					x[i] = float32(i%17) - 8
				}
				sums, maxima := make([]float64, width), make([]float32, rows)
				b.SetBytes(4 * rows * int64(width))
				for b.Loop() {
					Squares(sums, maxima, x, stride)
				}
			})
		}
	}
}
