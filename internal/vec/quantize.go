package vec

import "math"

// ActivationGroup is how many channels of a token share a scale in the engines'
// dynamic FP8 quantization of activations.
const ActivationGroup = 128

// QuantizeGroups replaces x by what an engine's dynamic 1×128 FP8 quantization
// makes of it. Per group of 128 elements (the last one may be shorter) the scale s
// is max(amax, 1e-10)/448 in float32, with pow2 rounded up to a power of two, and x
// becomes E4M3(clamp(x/s, ±448))·s, rounded as package fp8 does. A group with a NaN
// or an infinity becomes NaN, as x/s with such a scale is.
func QuantizeGroups(x []float32, pow2 bool) {
	p := current.Load()
	for len(x) > 0 {
		group := x[:min(ActivationGroup, len(x))]
		x = x[len(group):]
		amax := p.absMax(group)
		if !finite(amax) {
			for i := range group {
				group[i] = float32(math.NaN())
			}
			continue
		}
		p.quantize(group, activationScale(amax, pow2))
	}
}

// activationScale returns the scale of a group.
func activationScale(amax float32, pow2 bool) float32 {
	s := max(amax, 1e-10) / e4m3Max
	if pow2 {
		// s is normal: any mantissa bit carries into the exponent.
		const mantissa = 1<<23 - 1
		s = math.Float32frombits((math.Float32bits(s) + mantissa) &^ mantissa)
	}
	return s
}

// Rounding to E4M3 takes no branch. Let e be the exponent of y, but at least −6,
// that of the smallest normal number. E4M3 has the spacing 2^(e−3) there, and
// float32 has the same spacing from m = 2^(e+20) to 2m. So the float32 sum y+m is y
// rounded to nearest even on the grid of E4M3, and subtracting m is exact. Nothing
// has to be clamped: s is amax/448 or more, rounded, so |x/s| is at most 448 and a
// rounding error, which rounds to 448.
const (
	e4m3Max   = 448
	e4m3Least = (127 - 6) << 23 // bits of 2⁻⁶
	e4m3Grid  = 20 << 23        // turns the bits of 2^e into those of m
	exponent  = 0xff << 23      // mask
)

func quantizeGeneric(x []float32, s float32) {
	for i, v := range x {
		b := math.Float32bits(v / s)
		a := b &^ signBit
		m := math.Float32frombits(max(a&exponent, e4m3Least) + e4m3Grid)
		q := math.Float32frombits(a) + m - m
		x[i] = math.Float32frombits(math.Float32bits(q)|b&signBit) * s
	}
}
