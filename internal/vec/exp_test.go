package vec

import (
	"math"
	"testing"

	"quern/internal/cpu/cputest"
)

// ulps returns the distance of got from want in units of the spacing of float32 at
// want.
func ulps(got float32, want float64) float64 {
	_, e := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(e, -125)-24)
}

// sweep calls f with rows of numbers of magnitude below limit: a dense sample of
// all binades, and everything within 100 steps of the multiples of ln(2)/2, where
// the range reduction turns over.
func sweep(limit float32, f func(x []float32)) {
	x := make([]float32, 0, 4096)
	add := func(v float32) {
		x = append(x, v, -v)
		if len(x)+2 > cap(x) {
			f(x)
			x = x[:0]
		}
	}
	for b := uint32(0); b < math.Float32bits(limit); b += 1009 {
		add(math.Float32frombits(b))
	}
	for n := 1; float64(n)*math.Ln2/2 < float64(limit); n++ {
		b := math.Float32bits(float32(float64(n) * math.Ln2 / 2))
		for d := uint32(0); d < 200; d++ {
			add(math.Float32frombits(b + d - 100))
		}
	}
	f(x)
}

// Over all floats, once: at most 0.8904 ulp, at 4.506326.
func TestExpAccuracy(t *testing.T) {
	y := make([]float32, 4096)
	sweep(100, func(x []float32) {
		y := y[:len(x)]
		Exp(y, x)
		for i, v := range x {
			want := math.Exp(float64(v))
			switch {
			case y[i] == 0:
				if want >= 0x1p-125/math.Sqrt2 {
					t.Fatalf("e^%v = 0", v)
				}
			case math.IsInf(float64(y[i]), 1):
				if want < (1-0x1p-25)*0x1p128 {
					t.Fatalf("e^%v = Inf", v)
				}
			default:
				if e := ulps(y[i], want); !(e < 0.9) || want < 0x1p-126 {
					t.Fatalf("e^%v = %v, want %v: %.3f ulp", v, y[i], want, e)
				}
			}
		}
	})
}

// Over all floats, once: at most 2.4808 ulp, at −16.635704.
func TestSigmoidAccuracy(t *testing.T) {
	y := make([]float32, 4096)
	sweep(110, func(x []float32) {
		y := y[:len(x)]
		Sigmoid(y, x)
		for i, v := range x {
			want := 1 / (1 + math.Exp(-float64(v)))
			if v < -88.722835 {
				if y[i] != 0 {
					t.Fatalf("sigmoid(%v) = %v", v, y[i])
				}
			} else if e := ulps(y[i], want); !(e < 2.5) {
				t.Fatalf("sigmoid(%v) = %v, want %v: %.3f ulp", v, y[i], want, e)
			}
		}
	})
}

func TestExpLimits(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, c := range []struct{ x, exp, sigmoid float32 }{
			{0, 1, 0.5},
			{float32(math.Copysign(0, -1)), 1, 0.5},
			{0x1p-149, 1, 0.5},
			{1e-30, 1, 0.5},
			{88.72283, 3.4027985e38, 1},
			{88.72284, inf, 1},
			{89.5, inf, 1},
			{1e30, inf, 1},
			{inf, inf, 1},
			{-86.98996, 1.662419e-38, 1.662419e-38},
			{-86.99, 0, 1.662355e-38},
			{-104, 0, 0},
			{-1e30, 0, 0},
			{-inf, 0, 0},
			{nan, nan, nan},
		} {
			x, y := []float32{c.x}, make([]float32, 1)
			for _, f := range []struct {
				name string
				f    func(dst, x []float32)
				want float32
			}{{"Exp", Exp, c.exp}, {"Sigmoid", Sigmoid, c.sigmoid}} {
				f.f(y, x)
				near := math.Abs(float64(y[0])/float64(f.want)-1) < 1e-6 && f.want > 0 && f.want < 1e-30
				if !same32(y[0], f.want) && !near {
					t.Errorf("path %s: %s(%v) = %v, want %v", p.name, f.name, c.x, y[0], f.want)
				}
			}
		}
	}
}
