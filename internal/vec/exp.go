package vec

import "math"

// How e^x is computed, on all paths in this order of operations:
//
//	t = x·log₂e + magic   rounds to an integer n, to nearest even: magic is 1.5·2²³
//	n = t − magic         (where float32 has a spacing of 1), and 126 more
//	h = x − n·ln2hi       exact: ln2hi has 15 significant bits, and h is small
//	r = h − n·ln2lo       |r| ≤ ln(2)/2, a little more at ties
//	p = 1 + (h + (r²·q(r) − n·ln2lo))
//	e = (p+p)·2^(n−1)
//
// n·ln2lo is taken from the small term r²·q once more instead of using the rounded
// r as the linear term, which saves the result a rounding error of up to ¼ ulp.
//
// q has degree 4 and makes 1+r+r²·q(r) the minimax approximation of e^r in relative
// error: 2^−28.2 with the coefficients rounded to float32 (Remez, each coefficient
// rounded before the next ones were fitted again).
//
// The low bits of t are n+126, the biased exponent of 2^(n−1): shifted to their
// place they are that number, 0 for n = −126 and +Inf for n = 129. x is clamped so
// that n stays between; so underflow to 0 and overflow come out of the one
// multiplication, and halving the power lets n be 128.
const (
	expLo    = -87.5 // n = −126
	expHi    = 89    // n = 128, overflows
	expLog2e = float32(math.Log2E)
	expMagic = 0x1.8p23 + 126
	expLn2hi = 0x1.62e4p-1
	expLn2lo = 0x1.7f7d1cp-20
	expC6    = 0x1.6ac6b2p-10
	expC5    = 0x1.123dep-7
	expC4    = 0x1.555858p-5
	expC3    = 0x1.55548cp-3
	expC2    = 0x1.fffffcp-2
)

// Exp writes e^x. Errors are below 0.9 ulp, e^0 is 1. Results from 2^128 on are
// +Inf, those below 2^−125.5 (x < −86.99, all subnormal ones among them) are 0, NaN
// stays NaN.
func Exp(dst, x []float32) {
	equal(len(dst), len(x))
	current.Load().exp(dst, x)
}

// Sigmoid writes 1/(1+e^−x). Errors are below 2.5 ulp; below x = −88.722835,
// where e^−x overflows, the result is 0.
func Sigmoid(dst, x []float32) {
	equal(len(dst), len(x))
	current.Load().sigmoid(dst, x)
}

// exp1 is the twin of the kernels for one number.
func exp1(x float32) float32 {
	// In this form, as in VMAXPS and VMINPS, NaN is kept.
	if expLo > x {
		x = expLo
	}
	if expHi < x {
		x = expHi
	}
	t := float32(x*expLog2e) + expMagic
	n := t - expMagic
	h := x - float32(n*expLn2hi)
	l := float32(n * expLn2lo)
	r := h - l
	q := float32(r*expC6) + expC5
	q = float32(q*r) + expC4
	q = float32(q*r) + expC3
	q = float32(q*r) + expC2
	p := 1 + (h + (float32(q*float32(r*r)) - l))
	return float32((p + p) * math.Float32frombits(math.Float32bits(t)<<23))
}

func expGeneric(dst, x []float32) {
	for i, v := range x {
		dst[i] = exp1(v)
	}
}

func sigmoidGeneric(dst, x []float32) {
	for i, v := range x {
		dst[i] = 1 / (1 + exp1(-v))
	}
}
