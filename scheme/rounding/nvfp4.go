package rounding

import "quern/group"

// NVFP4 is E2M1 with an E4M3 scale for every 16 channels of a token as they come, times
// the scale that the checkpoint brings: input_scale, or 1/input_global_scale. Engines do
// not measure that one anew (formats-2026.md §4.1); 1 reaches 2688.
var NVFP4 = &Rule{
	Name:   "nvfp4",
	Title:  "E2M1, with an E4M3 scale for every 16 channels of a token as they come, times one that the checkpoint brings",
	Static: true,
	Reach:  6 * 448,
	// A block is represented well when its amax is no more than 28,672 times below the
	// reach: beyond that its E4M3 scale is subnormal (the same, after Model-Optimizer#1573).
	Coarse: 28672,
	Shared: true,
	Round:  func(x []float32, _ int, scale float32) { group.NVFP4{Tensor: scale}.Round(x) },
}
