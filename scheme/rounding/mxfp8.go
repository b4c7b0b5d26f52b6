package rounding

import "quern/group"

// MXFP8 is E4M3 with the least power of two for every 32 channels of a token that keeps
// them within 448, as the weights have it (formats-2026.md §4.4).
var MXFP8 = &Rule{
	Name:  "mxfp8",
	Title: "E4M3, with a power of two for every 32 channels of a token as it comes",
	Round: func(x []float32, _ int, _ float32) { group.MXFP8{}.Round(x) },
}
