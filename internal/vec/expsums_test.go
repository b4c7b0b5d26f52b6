package vec

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"quern/internal/cpu/cputest"
)

// exactExp returns e^x to about 200 bits.
func exactExp(x float64) *big.Float {
	const prec, halvings = 300, 40
	r := new(big.Float).SetPrec(prec).SetFloat64(x)
	r.SetMantExp(r, -halvings)
	sum, term := big.NewFloat(1).SetPrec(prec), big.NewFloat(1).SetPrec(prec)
	for i := 1; i < 12; i++ { // |r| < 2^−30
		term.Mul(term, r)
		term.Quo(term, new(big.Float).SetPrec(prec).SetInt64(int64(i)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

// ulps64 returns the distance of got from e^x in units of the spacing of float64.
func ulps64(got, x float64) float64 {
	want := exactExp(x)
	w, _ := want.Float64()
	d := new(big.Float).SetPrec(300).SetFloat64(got)
	d.Sub(d, want)
	_, e := math.Frexp(w)
	d.SetMantExp(d, 53-e)
	u, _ := d.Float64()
	return math.Abs(u)
}

func TestExpSumAccuracy(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	check := func(x float64) {
		got := ExpSum([]float32{0}, -x)
		if u := ulps64(got, x); !(u < 1) {
			t.Fatalf("e^%v = %v: %.3f ulp", x, got, u)
		}
	}
	for range 2000 {
		check(r.Float64()*1415 - 707)
		check(math.Ldexp(r.NormFloat64(), -r.IntN(60)))
		n := float64(r.IntN(2040) - 1020)
		check(n * math.Ln2 / 2 * (1 + (r.Float64()-0.5)*0x1p-40))
	}
	for x := 709.0; x < 709.78; x += 0.01 {
		check(x)
	}
	// Densely against math.Exp, which has an error of its own and on amd64 (Go 1.26)
	// overflows from 709.44 on.
	for x := -707.5; x < 709; x += 0.0017 {
		got, want := ExpSum([]float32{0}, -x), math.Exp(x)
		if d := int64(math.Float64bits(got)) - int64(math.Float64bits(want)); d < -2 || d > 2 {
			t.Fatalf("e^%v = %v, math.Exp says %v", x, got, want)
		}
	}
}

func TestExpSumLimits(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, c := range []struct{ x, want float64 }{
			{0, 1},
			{1e-300, 1},
			{709.782712893384, 0x1.fffffffffff2ap+1023},
			{709.7827128933841, inf},
			{710.5, inf},
			{1e300, inf},
			{inf, inf},
			{-708.05, 0},
			{-1e300, 0},
			{-inf, 0},
			{nan, nan},
		} {
			if got := ExpSum([]float32{0}, -c.x); !same64(got, c.want) {
				t.Errorf("path %s: e^%v = %v, want %v", p.name, c.x, got, c.want)
			}
		}
		if got := ExpSum([]float32{0}, 708.04); got < 0x1p-1022 {
			t.Errorf("path %s: e^-708.04 = %v", p.name, got)
		}
		if got := ExpSum(nil, 3); got != 0 {
			t.Errorf("path %s: a sum of nothing is %v", p.name, got)
		}
	}
}

func TestExpSums(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 100, 2048, 5003} {
		a, b := normal(1, n, 5), normal(2, n, 5)
		ea, eb, d := ExpSums(a, b, 7, 11.5)
		var wantA, wantB, wantD, size float64
		for i := range a {
			x, y := float64(a[i]), float64(b[i])
			wantA += math.Exp(x - 7)
			wantB += math.Exp(y - 11.5)
			wantD += math.Exp(x-7) * (x - y)
			size += math.Exp(x-7) * math.Abs(x-y)
		}
		u := float64(n+30) * 0x1p-53
		if math.Abs(ea-wantA) > u*wantA || math.Abs(eb-wantB) > u*wantB || math.Abs(d-wantD) > u*size {
			t.Errorf("%d: %v %v %v, want %v %v %v", n, ea, eb, d, wantA, wantB, wantD)
		}
		if e := ExpSum(a, 7); e != ea {
			t.Errorf("%d: ExpSum %v, ExpSums %v", n, e, ea)
		}
	}
}

// A model against itself: no divergence at all, masked logits included.
func TestExpSumsOfEqual(t *testing.T) {
	inf := float32(math.Inf(-1))
	for _, p := range paths() {
		cputest.Use(t, p.name)
		for _, n := range []int{1, 5, 16, 31, 2048} {
			a := normal(1, n, 9)
			a[n/2] = inf
			a[0] = -2000 // e^x is 0 there too
			b := clone(a)
			ea, eb, d := ExpSums(a, b, 3, 3)
			if ea != eb || math.Float64bits(d) != 0 {
				t.Errorf("path %s: %d: %v %v %v", p.name, n, ea, eb, d)
			}
		}
		// 0·ln(0/q) = 0, but p·ln(p/0) is infinite.
		if _, _, d := ExpSums([]float32{inf, 1}, []float32{2, 1}, 0, 0); d != 0 {
			t.Errorf("path %s: p = 0: %v", p.name, d)
		}
		if _, _, d := ExpSums([]float32{2, 1}, []float32{inf, 1}, 0, 0); !math.IsInf(d, 1) {
			t.Errorf("path %s: q = 0: %v", p.name, d)
		}
	}
}
