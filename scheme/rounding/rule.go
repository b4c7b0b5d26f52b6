// Package rounding knows what engines do to the inputs of a linear with quantized weights
// before they multiply: a [Rule] a file. Which rule a weight has says its scheme
// (scheme.Scheme.Inputs). Rounding is the arithmetic of package group, and the same to the
// bit on every machine.
package rounding

// Rule is one way in which inputs are rounded.
type Rule struct {
	Name  string // in JSON
	Title string // for people, behind "inputs become"

	// Static: by a scale that the checkpoint brings. What is below is of such rules.
	Static bool
	// Reach is the largest magnitude that the scale 1 stands for.
	Reach float32
	// Coarse is how many times the largest input the reach may be before numbers lose bits
	// by it.
	Coarse float32
	// Shared: what engines join, and all experts of a layer, take the largest of their
	// scales (formats-2026.md §4.1: vLLM the maximum of scales, SGLang the minimum of their
	// reciprocals).
	Shared bool

	// Round rounds rows of a width. scale is that of a static rule.
	Round func(x []float32, width int, scale float32)
}

// All are the rules.
var All = []*Rule{FP8Groups, FP8PowerGroups, FP8Rows, FP8Tensor, MXFP8, MXFP4, NVFP4}

// Find returns the rule of a name; "" and names that are not known are FP8Tensor, the rule
// there was before there were names.
func Find(name string) *Rule {
	for _, r := range All {
		if r.Name == name {
			return r
		}
	}
	return FP8Tensor
}

// rows calls round for each row of x.
func rows(x []float32, width int, round func(row []float32)) {
	for ; len(x) > 0; x = x[width:] {
		round(x[:width])
	}
}
