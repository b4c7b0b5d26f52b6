package rounding

import "quern/group"

// FP8Tensor is E4M3 with a fixed scale, input_scale (formats.md §4): what lies beyond 448
// of it is cut.
var FP8Tensor = &Rule{
	Name:   "fp8-tensor",
	Title:  "E4M3, with one scale that the checkpoint brings",
	Static: true,
	Reach:  448,
	// E4M3 loses precision only where numbers become subnormal, 2¹⁴ below its largest.
	Coarse: 64,
	Shared: true,
	Round:  func(x []float32, _ int, scale float32) { group.FP8Tensor{Tensor: scale}.Round(x) },
}
