package fp8

import "math"

// E4M3 ("fn"): sign, 4 exponent bits with bias 7, 3 mantissa bits, no infinity.
// The largest magnitude is 448 (0x7E), the smallest normal one 2⁻⁶ (0x08), the
// smallest one 2⁻⁹ (0x01); 0x7F and 0xFF are NaN.
const (
	e4m3Max = 448
	e4m3NaN = 0x7f
	// e4m3Saturates is the midpoint between 448 and the 480 that NaN took the
	// place of. It would round to 448 (even); above it the clamp acts.
	e4m3Saturates = 464
	// e4m3MaxSubnormal is the magnitude code of the largest subnormal number.
	e4m3MaxSubnormal = 0x07
)

// E4M3FromFloat32 returns the E4M3 code of x: clamped to ±448 first, then
// rounded to nearest even. Infinities saturate, −0 keeps its sign, NaN becomes
// 0x7F with the sign of x.
//
// Normal results: bits 22…20 of x are the mantissa that stays, so adding just
// less than half of bit 20, plus bit 20 itself, carries exactly when
// round-to-nearest-even does, into the exponent where needed. Subnormal results
// lie on the grid 2⁻⁹, which is the spacing of float32 at 2¹⁴: adding 2¹⁴ makes
// the float32 addition do the rounding, and the low bits of the sum are the code.
func E4M3FromFloat32(x float32) uint8 {
	const (
		minNormal = (127 - 6) << 23 // bits of 2⁻⁶
		grid      = (127 + 14) << 23
		saturated = 0x43e00000 // bits of 448
		inf       = 0x7f800000
	)
	b := math.Float32bits(x)
	sign := uint8(b>>24) & 0x80
	a := b & 0x7fffffff
	switch {
	case a < minNormal:
		t := math.Float32frombits(a) + math.Float32frombits(grid)
		return sign | uint8(math.Float32bits(t)-grid)
	case a < saturated:
		a += 0x7ffff + a>>20&1
		return sign | uint8(a>>20-120<<3)
	case a <= inf:
		return sign | 0x7e
	default:
		return sign | e4m3NaN
	}
}

// roundE4M3 rounds y ≥ 0 to E4M3, the value and the code, without branches.
//
// Let e be the exponent of y, but at least −6, that of the smallest normal number.
// E4M3 has the spacing 2^(e−3) there, and float32 has the same spacing from
// M = 2^(e+20) to 2M. So the float32 sum t = y+M is y rounded to nearest even on
// the grid of E4M3, and q = t−M is exact. The low bits of t count steps of the
// grid, n = q/2^(e−3), and the code is 8(e+6)+n: for normal numbers n runs from 8
// to 16, where 16 is the first code of the next binade, and subnormal ones have
// e = −6.
func roundE4M3(y float32) (q float32, code uint32) {
	const (
		saturated = 0x43e00000 // bits of 448
		least     = (127 - 6) << 23
	)
	b := min(math.Float32bits(y), saturated)
	e := max(b&0x7f800000, least)
	m := math.Float32frombits(e + 20<<23)
	t := math.Float32frombits(b) + m
	return t - m, math.Float32bits(t) - math.Float32bits(m) + (e-least)>>20
}

// E4M3ToFloat32 returns the value of an E4M3 code, exactly.
func E4M3ToFloat32(c uint8) float32 { return e4m3Values[c] }

// e4m3Values holds the value of every code.
var e4m3Values = func() (t [256]float32) {
	for c := range t {
		t[c] = decodeSmall(uint32(c), 4, 3, 7)
	}
	t[e4m3NaN] = math.Float32frombits(quietNaN)
	t[0x80|e4m3NaN] = math.Float32frombits(signBit | quietNaN)
	return t
}()

const (
	signBit  = 0x80000000 // of a float32
	quietNaN = 0x7fc00000 // bits of the float32 NaN that stands for every NaN code
)

// decodeSmall returns the value of a sign-exponent-mantissa code that stands for
// a finite number.
func decodeSmall(c uint32, expBits, manBits, bias int) float32 {
	man := float64(c & (1<<manBits - 1))
	exp := int(c >> manBits & (1<<expBits - 1))
	v := math.Ldexp(man, 1-bias-manBits)
	if exp > 0 {
		v = math.Ldexp(man+float64(int(1)<<manBits), exp-bias-manBits)
	}
	if c>>(expBits+manBits)&1 != 0 {
		v = math.Copysign(v, -1)
	}
	return float32(v)
}
