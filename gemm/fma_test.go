package gemm

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// fma returns a·b+c as the loops compute it (fma.go).
func fma(a, b, c float32) float32 {
	p := float64(a) * float64(b)
	s := p + float64(c)
	if doubtful(s) {
		s = toOdd(p, float64(c), s)
	}
	return float32(s)
}

// exact returns a·b+c in enough bits to be exact.
func exact(a, b, c float32) *big.Float {
	f := func(x float32) *big.Float { return new(big.Float).SetPrec(1000).SetFloat64(float64(x)) }
	p := f(a)
	p.Mul(p, f(b))
	return p.Add(p, f(c))
}

// operands returns finite operands, often such that the sum lies at or next to a
// midpoint between two float32 numbers, that much cancels, or that the result is
// subnormal.
func operands(r *rand.Rand, kind int) (a, b, c float32) {
	bits := func() float32 {
		for {
			if x := math.Float32frombits(r.Uint32()); x-x == 0 {
				return x
			}
		}
	}
	switch kind {
	case 0:
		return bits(), bits(), bits()
	case 1:
		return normal(r), normal(r), normal(r)
	case 2: // few bits: exact ties
		a, b = float32(1+r.IntN(1<<12)), float32(1+r.IntN(1<<12))
		return a, b, float32(math.Ldexp(float64(1+r.IntN(4)), 25+r.IntN(12))) * float32(1-2*r.IntN(2))
	case 3: // a tie and a little more or less
		c = float32(1<<24 + 2*r.IntN(1<<23))
		a = 1 + float32(math.Ldexp(1, -23))*float32(r.IntN(3)-1)
		return a, 1 - float32(math.Ldexp(float64(r.IntN(4)), -24)), c * float32(1-2*r.IntN(2))
	case 4: // cancellation
		a, b = normal(r), normal(r)
		return a, b, -a * b
	case 5: // results around the smallest normal number
		a, b = float32(math.Ldexp(1+r.Float64(), -63)), float32(math.Ldexp(1+r.Float64(), -63-r.IntN(24)))
		return a, b, float32(math.Ldexp(r.Float64()-0.5, -125-r.IntN(24)))
	case 6: // just below 2⁻¹²⁶
		d := float64(r.IntN(9)-4) * 0x1p-24
		return float32(1 - r.Float64()*0x1p-20), float32(0x1p-126 * (1 + d)), math.Float32frombits(r.Uint32N(3) | r.Uint32()&0x80000000)
	}
	return math.MaxFloat32 * float32(0.5+r.Float64()/2), 1 + r.Float32(), bits() // overflow
}

func TestFMA(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for n := range runs(400000) {
		a, b, c := operands(r, n%8)
		e := exact(a, b, c)
		want, _ := e.Float32()
		if got := fma(a, b, c); got != want {
			t.Fatalf("kind %d: %x·%x+%x = %x, want %x", n%8, a, b, c, got, want)
		}
		want = flushed(flush(a), flush(b), flush(c))
		if got := fmaFlush(a, b, c); math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("kind %d: %x·%x+%x flushed = %x, want %x", n%8, a, b, c, got, want)
		}
	}
	// Zeros keep the sign that IEEE 754 gives them.
	zero, minus := float32(0), float32(math.Copysign(0, -1))
	for _, x := range [][4]float32{
		{minus, 1, minus, minus},
		{minus, 1, zero, zero},
		{1, 1, -1, zero},
		{-0x1p-100, 0x1p-100, zero, minus},
		{-0x1p-100, 0x1p-100, minus, minus},
	} {
		if got := fma(x[0], x[1], x[2]); math.Float32bits(got) != math.Float32bits(x[3]) {
			t.Errorf("%v·%v+%v = %v, want %v", x[0], x[1], x[2], got, x[3])
		}
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, x := range [][4]float32{
		{inf, 1, 1, inf},
		{inf, -1, 1, -inf},
		{inf, 0, 1, nan},
		{inf, 1, -inf, nan},
		{1, 1, inf, inf},
		{nan, 1, 1, nan},
		{1, 1, nan, nan},
	} {
		same(t, []float32{fma(x[0], x[1], x[2]), fmaFlush(x[0], x[1], x[2])}, []float32{x[3], x[3]}, "%v·%v+%v", x[0], x[1], x[2])
	}
}

// flushed is fmaFlush for operands that are not subnormal.
func flushed(a, b, c float32) float32 {
	e := exact(a, b, c)
	tiny := new(big.Float).SetPrec(24).Set(e) // rounded to 24 bits, whatever the exponent
	if tiny.Abs(tiny).Cmp(big.NewFloat(0x1p-126)) < 0 {
		if e.Sign() < 0 || e.Sign() == 0 && math.Signbit(float64(fma(a, b, c))) {
			return float32(math.Copysign(0, -1))
		}
		return 0
	}
	x, _ := e.Float32()
	return x
}
