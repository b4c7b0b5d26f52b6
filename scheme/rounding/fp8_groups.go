package rounding

import "quern/internal/vec"

// FP8Groups is what engines do for block FP8: E4M3 with a scale for every 128 channels of
// a token, measured as it comes (formats.md §2).
var FP8Groups = &Rule{
	Name:  "fp8-groups",
	Title: "E4M3, with a scale for every 128 channels of a token as it comes",
	Round: func(x []float32, width int, _ float32) {
		rows(x, width, func(row []float32) { vec.QuantizeGroups(row, false) })
	},
}

// FP8PowerGroups is the same where scales are powers of two: scale_fmt ue8m0.
var FP8PowerGroups = &Rule{
	Name:  "fp8-groups-ue8m0",
	Title: "E4M3, with a power of two for every 128 channels of a token as it comes",
	Round: func(x []float32, width int, _ float32) {
		rows(x, width, func(row []float32) { vec.QuantizeGroups(row, true) })
	},
}
