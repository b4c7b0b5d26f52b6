package vec

import (
	"math"
	"math/rand/v2"
	"testing"

	"quern/internal/cpu/cputest"
)

func TestExtrema(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, v := range values {
		for _, n := range []int{1, 2, 16, 40, 511, 512, 513, 1024, 5000} {
			x := make([]float32, n)
			for i := range x {
				x[i] = v.f(r)
			}
			// A plain definition: the first NaN, else the first of the largest.
			at, first := 0, -1
			var amax float32
			for i, a := range x {
				if a != a && x[at] == x[at] || a > x[at] {
					at = i
				}
				if amax = max(amax, float32(math.Abs(float64(a)))); first < 0 && a-a != 0 {
					first = i
				}
			}
			for _, p := range paths() {
				cputest.Use(t, p.name)
				if i, m := ArgMax(x); i != at || !same32(m, x[at]) {
					t.Fatalf("path %s: %s: ArgMax of %d is %d (%v), want %d (%v)", p.name, v.name, n, i, m, at, x[at])
				}
				if m := Max(x); !same32(m, x[at]+0) {
					t.Fatalf("path %s: %s: Max of %d is %v, want %v", p.name, v.name, n, m, x[at])
				}
				if m := AbsMax(x); !same32(m, amax) {
					t.Fatalf("path %s: %s: AbsMax of %d is %v, want %v", p.name, v.name, n, m, amax)
				}
				if i := FirstNonFinite(x); i != first {
					t.Fatalf("path %s: %s: FirstNonFinite of %d is %d, want %d", p.name, v.name, n, i, first)
				}
			}
		}
	}
}

func TestExtremaAtEveryPlace(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for i := range 1100 {
			x := make([]float32, 1100)
			for _, v := range []float32{1, inf, nan} {
				x[i], x[1099] = v, v
				if at, m := ArgMax(x); at != i || !same32(m, v) {
					t.Fatalf("path %s: ArgMax is %d (%v), want %d (%v)", p.name, at, m, i, v)
				}
				if m := Max(x); !same32(m, v) {
					t.Fatalf("path %s: Max is %v, want %v", p.name, m, v)
				}
				if at := FirstNonFinite(x); at != i && v != 1 {
					t.Fatalf("path %s: FirstNonFinite is %d, want %d", p.name, at, i)
				}
				x[i] = -v
				x[1099] = 0
				if m := AbsMax(x); i < 1099 && !same32(m, v) {
					t.Fatalf("path %s: AbsMax is %v, want %v", p.name, m, v)
				}
			}
		}
		if at, m := ArgMax(nil); at != -1 || m != -inf {
			t.Errorf("path %s: ArgMax of nothing is %d, %v", p.name, at, m)
		}
		if m := Max(nil); m != -inf {
			t.Errorf("path %s: Max of nothing is %v", p.name, m)
		}
		if at, m := ArgMax([]float32{-inf, -inf}); at != 0 || m != -inf {
			t.Errorf("path %s: ArgMax of infinities is %d, %v", p.name, at, m)
		}
		zeros := []float32{float32(math.Copysign(0, -1)), 0, float32(math.Copysign(0, -1))}
		if m := Max(zeros[:1]); math.Float32bits(m) != 0 {
			t.Errorf("path %s: Max of −0 is %v", p.name, m)
		}
		if at, _ := ArgMax(zeros); at != 0 {
			t.Errorf("path %s: ArgMax of zeros is %d", p.name, at)
		}
	}
}
