package fp8

import "math"

// BF16FromFloat32 rounds x to nearest even. Finite numbers beyond the largest
// BF16 number become infinite; NaN stays NaN (made quiet, upper payload bits
// kept).
func BF16FromFloat32(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// BF16ToFloat32 returns the value of a BF16 pattern, exactly.
func BF16ToFloat32(p uint16) float32 { return math.Float32frombits(uint32(p) << 16) }

// F16ToFloat32 returns the value of an IEEE binary16 pattern, exactly. NaN is
// made quiet and keeps its payload.
func F16ToFloat32(p uint16) float32 {
	sign := uint32(p) >> 15 << 31
	man := uint32(p) & 0x3ff
	switch exp := uint32(p) >> 10 & 0x1f; {
	case exp == 0x1f && man != 0:
		return math.Float32frombits(sign | quietNaN | man<<13)
	case exp == 0x1f:
		return math.Float32frombits(sign | 0x7f800000)
	case exp == 0: // man·2⁻²⁴; the sign is put on afterwards so that −0 keeps it
		return math.Float32frombits(sign | math.Float32bits(float32(man)*0x1p-24))
	default:
		return math.Float32frombits(sign | (exp+127-15)<<23 | man<<13)
	}
}
