package rounding

import "quern/group"

// FP8Rows is FP8_DYNAMIC of compressed-tensors: E4M3 with a scale for each token, measured
// as it comes (formats.md §3.2). Engines take it also for weights with one scale for the
// tensor where none is stored for inputs: a scale of all tokens that happen to be computed
// together would make a token's result depend on the others.
var FP8Rows = &Rule{
	Name:  "fp8-token",
	Title: "E4M3, with a scale for each token as it comes",
	Round: func(x []float32, width int, _ float32) { rows(x, width, group.RoundRow) },
}
