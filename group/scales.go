package group

import (
	"encoding/binary"
	"math"

	"quern/fp8"
)

// Quotients of at least this, in magnitude, would round beyond the largest code, 6 of
// E2M1, and 7 of INT4; those above it, beyond 448 of E4M3.
const (
	e2m1Saturates = 7   // the tie between 6 and 8 belongs to 8
	e4m3Saturates = 464 // the tie between 448 and 480 belongs to 448
	int4Most      = 7.5
	int4Least     = -8.5 // below it
)

const (
	e2m1Max = 6
	e4m3Max = 448

	// lowScale is the least normal number of E4M3. A block scale below it has lost
	// bits: amax·28672 is less than what the tensor scale reaches then.
	lowScale = 0x1p-6
)

// nvfp4ScalesGeneric writes the E4M3 scale of each group, e4m3(amax/(6·tensor)) from
// 2⁻⁹ to 448 and 1 where amax is 0, and its product with the tensor's scale. It
// returns how many are subnormal.
func nvfp4ScalesGeneric(scales []byte, mult, amax []float32, tensor float32) (low uint32) {
	six := e2m1Max * tensor
	for i, a := range amax {
		q := a / six
		if a == 0 {
			q = 1
		}
		if q < lowScale {
			low++
		}
		scales[i] = fp8.E4M3FromFloat32(max(q, 0x1p-9))
		mult[i] = fp8.E4M3ToFloat32(scales[i]) * tensor
	}
	return low
}

// e8m0Rule says how an E8M0 scale comes from the largest magnitude of a group: the
// exponent field of amax/divisor, to whose bits add was added, less minus. Quotients
// of at most least (bits) give 0.
type e8m0Rule struct {
	divisor float32
	add     uint32
	minus   uint32
	least   uint32
}

const mantissa = 1<<23 - 1 // of a float32

// roundUp returns the rule of the least power of two at or above amax/divisor, as
// fp8.E8M0FromFloat32.
func roundUp(divisor float32) *e8m0Rule {
	return &e8m0Rule{divisor: divisor, add: mantissa, least: 1 << 22}
}

// e8m0ScalesGeneric writes the scale of each group and a multiplier for each unit.
func e8m0ScalesGeneric(scales []byte, mult, amax []float32, rule *e8m0Rule) {
	for i, a := range amax {
		b := math.Float32bits(a / rule.divisor)
		e := max((b+rule.add)>>23, rule.minus) - rule.minus
		if b <= rule.least {
			e = 0
		}
		scales[i] = uint8(e)
	}
	e8m0Mults(mult, scales)
}

// e8m0Mults writes the value of each scale for the two units of its group.
func e8m0Mults(mult []float32, scales []byte) {
	for i, c := range scales {
		s := fp8.E8M0ToFloat32(c)
		mult[2*i], mult[2*i+1] = s, s
	}
}

// int4ZeroScale is the scale where amax/divisor rounds to 0: what
// compressed-tensors writes then, the epsilon of BF16.
const int4ZeroScale = 0x3c00

// int4ScalesGeneric writes the BF16 scale of each group, amax/divisor, and a
// multiplier for each unit.
func int4ScalesGeneric(scales []byte, mult, amax []float32, divisor float32) {
	for i, a := range amax {
		p := fp8.BF16FromFloat32(a / divisor)
		if p == 0 {
			p = int4ZeroScale
		}
		binary.LittleEndian.PutUint16(scales[2*i:], p)
	}
	bf16Mults(mult, scales)
}

// bf16Mults writes the value of each scale for the two units of its group.
func bf16Mults(mult []float32, scales []byte) {
	for i := range len(scales) / 2 {
		s := fp8.BF16ToFloat32(binary.LittleEndian.Uint16(scales[2*i:]))
		mult[2*i], mult[2*i+1] = s, s
	}
}
