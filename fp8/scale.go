package fp8

import "math"

// minScale is the least scale of any tile: dividing by a subnormal number is
// where devices begin to differ.
const minScale = 0x1p-126

// scaleOf returns the scale of a tile whose largest magnitude is amax.
func scaleOf(amax float32, f ScaleFormat) float32 {
	if amax == 0 {
		return 1
	}
	s := max(amax/e4m3Max, minScale)
	if f == ScaleUE8M0 {
		// The quotient is normal: any mantissa bit carries into the exponent.
		const mantissa = 1<<23 - 1
		s = math.Float32frombits((math.Float32bits(s) + mantissa) &^ mantissa)
	}
	return s
}
