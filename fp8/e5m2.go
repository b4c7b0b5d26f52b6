package fp8

import "math"

// E5M2FromFloat32 returns the E5M2 code of x: sign, 5 exponent bits with bias
// 15, 2 mantissa bits; largest finite magnitude 57344 (0x7B). x is clamped to
// ±57344 first (so infinities saturate too, and 0x7C never appears), then rounded
// to nearest even. −0 keeps its sign, NaN becomes 0x7F with the sign of x.
//
// The rounding is that of [E4M3FromFloat32], one bit further left; subnormal
// results lie on the grid 2⁻¹⁶, the spacing of float32 at 2⁷.
func E5M2FromFloat32(x float32) uint8 {
	const (
		minNormal = (127 - 14) << 23 // bits of 2⁻¹⁴
		grid      = (127 + 7) << 23
		saturated = 0x47600000 // bits of 57344
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
		a += 0xfffff + a>>21&1
		return sign | uint8(a>>21-112<<2)
	case a <= inf:
		return sign | 0x7b
	default:
		return sign | 0x7f
	}
}

// E5M2ToFloat32 returns the value of an E5M2 code, exactly: 0x7C is +Inf, 0x7D
// to 0x7F are NaN.
func E5M2ToFloat32(c uint8) float32 { return e5m2Values[c] }

var e5m2Values = func() (t [256]float32) {
	for c := range t {
		var b uint32
		switch m := c & 0x7f; {
		case m < 0x7c:
			t[c] = decodeSmall(uint32(c), 5, 2, 15)
			continue
		case m == 0x7c:
			b = 0x7f800000
		default:
			b = quietNaN
		}
		t[c] = math.Float32frombits(uint32(c)>>7<<31 | b)
	}
	return t
}()
