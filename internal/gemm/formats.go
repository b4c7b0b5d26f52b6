package gemm

import "math"

// bf16Value returns the value of a BF16 pattern, exactly.
func bf16Value(p uint16) float32 { return math.Float32frombits(uint32(p) << 16) }

// roundBF16 rounds x to the nearest BF16 number, ties to even. NaN stays NaN.
func roundBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// f16Value returns the value of an IEEE binary16 pattern, exactly; NaN is made
// quiet and keeps its payload.
func f16Value(p uint16) float32 {
	sign := uint32(p) >> 15 << 31
	man := uint32(p) & 0x3ff
	switch exp := uint32(p) >> 10 & 0x1f; {
	case exp == 0x1f && man != 0:
		return math.Float32frombits(sign | 0x7fc00000 | man<<13)
	case exp == 0x1f:
		return math.Float32frombits(sign | 0x7f800000)
	case exp == 0: // the sign is put on afterwards so that −0 keeps it
		return math.Float32frombits(sign | math.Float32bits(float32(man)*0x1p-24))
	default:
		return math.Float32frombits(sign | (exp+127-15)<<23 | man<<13)
	}
}

// e4m3Values holds the value of every E4M3 code. As a binary16 pattern, a code
// moved up by 7 is its value times 2⁻⁸, subnormal numbers included; only NaN
// (0x7F, 0xFF) is not.
var e4m3Values = func() (t [256]float32) {
	for c := range t {
		t[c] = 256 * f16Value(uint16(c&0x80)<<8|uint16(c&0x7f)<<7)
	}
	t[0x7f] = math.Float32frombits(0x7fc00000)
	t[0xff] = math.Float32frombits(0xffc00000)
	return t
}()
