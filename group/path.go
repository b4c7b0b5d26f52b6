package group

import (
	"quern/fp8"
	"quern/internal/cpu"
)

// current is the path in use.
var current = cpu.Choose(func(p *path) string { return p.name }, paths()...)

// paths returns the paths that this machine can take, the best one last.
func paths() []*path {
	return append([]*path{&genericPath, &tablePath}, archPaths()...)
}

// path is one implementation of the kernels. All paths give the same bits. Weights
// are finite, their number is a multiple of a unit, and mult has a multiplier for
// each unit.
type path struct {
	name string

	// amax writes the largest magnitude of each of len(amax) groups of equal length
	// and returns the bits of the largest of them, and how many are 0. Weights need
	// not be finite.
	amax func(amax, w []float32) (top, zeros uint32)

	// The scales of groups, and multipliers, from magnitudes.
	nvfp4Scales func(scales []byte, mult, amax []float32, tensor float32) (low uint32)
	e8m0Scales  func(scales []byte, mult, amax []float32, rule *e8m0Rule)
	int4Scales  func(scales []byte, mult, amax []float32, divisor float32)

	// The codes of w/mult, and the statistics that belong to them. The codes of −0
	// that E2M1 has are +0 unless signedZero.
	encodeE2M1 func(codes []byte, w, mult []float32, signedZero bool, r *Row)
	encodeE4M3 func(codes []byte, w, mult []float32, r *Row)
	encodeINT4 func(codes []byte, w, mult []float32, r *Row)

	// cost writes Σ(w−ŵ)²·u of one group for each multiplier.
	costE2M1 func(cost []float64, mult, w []float32, u []float64)
	costINT4 func(cost []float64, mult, w []float32, u []float64)

	decodeE2M1, decodeE4M3, decodeINT4 decoder

	turn2, turn4 turner // elements of two and of four bytes
}

// decoder writes values times multipliers, as BF16 or F32.
type decoder func(dst []byte, elem fp8.Elem, codes []byte, mult []float32)
