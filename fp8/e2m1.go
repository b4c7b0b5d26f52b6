package fp8

import "math"

// E2M1FromFloat32 returns the E2M1 code (in the low four bits) of x: clamped to
// ±6, rounded to nearest even onto 0, ½, 1, 1½, 2, 3, 4, 6. −0 and what rounds to
// it keep their sign; NaN, which the format lacks, becomes 0.
func E2M1FromFloat32(x float32) uint8 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return 0
	}
	sign := uint8(b>>28) & 0x08
	// Each limit is the midpoint of two neighbours and belongs to the even code.
	switch a := math.Float32frombits(b & 0x7fffffff); {
	case a <= 0.25:
		return sign
	case a < 0.75:
		return sign | 1
	case a <= 1.25:
		return sign | 2
	case a < 1.75:
		return sign | 3
	case a <= 2.5:
		return sign | 4
	case a < 3.5:
		return sign | 5
	case a <= 5:
		return sign | 6
	}
	return sign | 7
}

// E2M1ToFloat32 returns the value of the E2M1 code in the low four bits of c.
func E2M1ToFloat32(c uint8) float32 { return e2m1Values[c&0x0f] }

// e2m1Values holds the value of every code.
var e2m1Values = func() (t [16]float32) {
	for c := range t {
		t[c] = decodeSmall(uint32(c), 2, 1, 1)
	}
	return t
}()
