package vec

import (
	"math"
	"math/rand/v2"
	"testing"

	"quern/fp8"
	"quern/internal/cpu/cputest"
)

// TestQuantizeGroups holds the branch-free rounding against package fp8's
// conversions, which PyTorch's table pins down.
func TestQuantizeGroups(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	for _, n := range []int{0, 1, 5, 127, 128, 129, 300, 7168} {
		for _, sigma := range []float64{1e-30, 1e-12, 1e-3, 1, 1e4, 1e36} {
			for _, pow2 := range []bool{false, true} {
				in := normal(uint64(n), n, sigma)
				for i := range in { // all binades that E4M3 tells apart, and zeros
					in[i] *= float32(math.Ldexp(1, -r.IntN(20)))
					if r.IntN(10) == 0 {
						in[i] *= 0
					}
				}
				x := clone(in)
				QuantizeGroups(x, pow2)
				for i, got := range x {
					group := in[i/128*128 : min(i/128*128+128, n)]
					var amax float64
					for _, v := range group {
						amax = max(amax, math.Abs(float64(v)))
					}
					s := max(float32(amax), 1e-10) / 448
					if pow2 {
						s = float32(math.Exp2(math.Ceil(math.Log2(float64(s)))))
					}
					want := fp8.E4M3ToFloat32(fp8.E4M3FromFloat32(in[i]/s)) * s
					if !same32(got, want) {
						t.Fatalf("%d, sigma %v, pow2 %v: %v gives %v, want %v (scale %v)", n, sigma, pow2, in[i], got, want, s)
					}
				}
			}
		}
	}
}

// Every step of E4M3's grid, every midpoint between two steps, and their
// neighbours, at scale 1 and at a scale that is no power of two.
func TestQuantizeGroupsGrid(t *testing.T) {
	for _, amax := range []float32{448, 100} {
		s := amax / 448
		for c := range uint8(0x7e) {
			a, b := fp8.E4M3ToFloat32(c), fp8.E4M3ToFloat32(c+1)
			for _, y := range []float32{a, (a + b) / 2} {
				for d := -2; d <= 2; d++ {
					v := math.Float32frombits(uint32(max(0, int(math.Float32bits(y*s))+d)))
					if v > amax {
						continue
					}
					x := []float32{amax, v, -v}
					want := fp8.E4M3ToFloat32(fp8.E4M3FromFloat32(v/s)) * s
					if QuantizeGroups(x, false); x[0] != amax || x[1] != want || !same32(x[2], -want) {
						t.Fatalf("%v beside %v: %v, want %v", v, amax, x, want)
					}
				}
			}
		}
	}
}

func TestQuantizeGroupsSpecial(t *testing.T) {
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			x := normal(1, 300, 1)
			x[200] = bad
			want := normal(1, 300, 1)
			QuantizeGroups(want[:128], false)
			QuantizeGroups(want[256:], false)
			QuantizeGroups(x, false)
			for i, v := range x {
				if i/128 == 1 && v == v || i/128 != 1 && v != want[i] {
					t.Fatalf("path %s: %v: element %d is %v", p.name, bad, i, v)
				}
			}
		}
		zeros := make([]float32, 130)
		zeros[5] = float32(math.Copysign(0, -1))
		QuantizeGroups(zeros, true)
		for i, v := range zeros {
			if v != 0 || math.Signbit(float64(v)) != (i == 5) {
				t.Fatalf("path %s: zero %d became %v", p.name, i, v)
			}
		}
	}
}
