package fp8

import "math"

// e8m0NaN is the only E8M0 code that is no power of two.
const e8m0NaN = 255

// E8M0FromFloat32 returns the code of the smallest power of two at or above x,
// which is how ue8m0 scales are chosen (a scale that rounded down would saturate
// the tile). Codes stand for 2^(code−127); zero and everything up to 2⁻¹²⁷ is
// code 0. NaN, negative numbers and what lies above 2¹²⁷ become 255, NaN.
func E8M0FromFloat32(x float32) uint8 {
	b := math.Float32bits(x)
	switch {
	case b <= 1<<22 || b == signBit: // up to 2⁻¹²⁷, and −0
		return 0
	case b > 254<<23: // above 2¹²⁷; also Inf, NaN and every negative number
		return e8m0NaN
	}
	return uint8((b + 1<<23 - 1) >> 23)
}

// E8M0ToFloat32 returns 2^(c−127), or NaN for 255.
func E8M0ToFloat32(c uint8) float32 {
	switch c {
	case 0:
		return math.Float32frombits(1 << 22) // 2⁻¹²⁷ is subnormal in float32
	case e8m0NaN:
		return math.Float32frombits(quietNaN)
	}
	return math.Float32frombits(uint32(c) << 23)
}
