package rounding

import "quern/group"

// MXFP4 is E2M1 with a power of two for every 32 channels of a token: the preset MXFP4 of
// compressed-tensors, whose scales are EVEN (formats.md §3.2, formats-2026.md §4.3).
var MXFP4 = &Rule{
	Name:  "mxfp4",
	Title: "E2M1, with a power of two for every 32 channels of a token as it comes",
	Round: func(x []float32, _ int, _ float32) { group.MXFP4{}.Round(x) },
}
