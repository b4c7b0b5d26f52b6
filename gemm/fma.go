package gemm

import "math"

// A fused multiply-add a·b+c is rounded once to float32. NaN results are NaN, of
// unspecified payload.
//
// The product p is exact in float64 (2×24 bits), the sum s = p + c is rounded to 53
// bits. Rounding s once more to float32 errs only where the first rounding went to a
// midpoint between two float32 numbers and the exact sum was beside it. A normal
// float32 has 29 bits less than float64, so only an s whose low 29 bits are
// 100…0 is doubtful, and one in the range of subnormal numbers, whose midpoints lie
// elsewhere. Then s is rounded to odd first. Loops that multiply and add have this
// inlined; fma in the tests is all of it for one number.

// doubtful says whether rounding s to float32 may differ from rounding the exact
// sum that s stands for.
func doubtful(s float64) bool {
	u := math.Float64bits(s)
	return u&(1<<29-1) == 1<<28 || u<<1 < minNormal64<<1
}

// minNormal64 is the float64 pattern of 2⁻¹²⁶, the smallest normal float32.
const minNormal64 = (1023 - 126) << 52

// toOdd returns p+c rounded to odd, given that sum rounded to nearest: an inexact
// sum gets the neighbour whose last bit is 1, so that rounding it again, to at
// most 51 bits, gives what rounding the exact sum would (Boldo and Melquiond,
// "Emulation of FMA and correctly rounded sums: proved algorithms using rounding
// to odd", IEEE Transactions on Computers 57(4), 2008). The error of the sum is
// exact by Knuth's TwoSum.
//
//go:noinline
func toOdd(p, c, s float64) float64 {
	q := s - p
	e := (p - (s - q)) + (c - q)
	u := math.Float64bits(s)
	if e == 0 || e != e || u&1 != 0 { // exact, not finite, or odd already
		return s
	}
	if (e > 0) == (s > 0) {
		return math.Float64frombits(u + 1)
	}
	return math.Float64frombits(u - 1)
}

// fmaFlush is a fused multiply-add as VDPBF16PS does it: subnormal operands count as zeros of
// their sign, and a result that, rounded to 24 bits, lies below the normal
// numbers becomes such a zero.
func fmaFlush(a, b, c float32) float32 {
	p := float64(flush(a)) * float64(flush(b))
	d := float64(flush(c))
	s := p + d
	s = toOdd(p, d, s)
	// Half a step below 2⁻¹²⁶ is a tie, which goes up, to the even significand.
	if math.Abs(s) < 0x1p-126-0x1p-151 {
		return float32(math.Copysign(0, s))
	}
	return float32(s)
}

// flush returns a zero for a subnormal x.
func flush(x float32) float32 {
	if b := math.Float32bits(x); b&0x7f800000 == 0 {
		return math.Float32frombits(b & 0x80000000)
	}
	return x
}
