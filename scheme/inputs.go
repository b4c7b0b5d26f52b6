package scheme

import (
	"quern/formats/model"
	"quern/scheme/rounding"
)

// Fed is what decides how engines round the inputs of a weight in codes.
type Fed struct {
	Static bool                // the checkpoint has a scale for them
	Config *model.Quantization // what config.json says, or nil
}

// Rounds is what engines do to the inputs of a weight in this scheme; nil: they take them
// as they are, and multiply by the weight's values.
func (s *Scheme) Rounds(f Fed) *rounding.Rule {
	if s.Inputs == nil {
		return nil
	}
	return s.Inputs(f)
}

// alone reports whether config.json says that weights of so many bits have inputs as they
// come, as W4A16 and W8A16 do.
func (f *Fed) alone(bits int) bool {
	n, said := f.Config.InputBits(bits)
	return said && n == 0
}

// fp8Inputs is the rule for FP8 weights with the scale of a row or of the tensor.
func fp8Inputs(f Fed) *rounding.Rule {
	switch {
	case f.alone(8):
		return nil
	case f.Static:
		return rounding.FP8Tensor
	}
	return rounding.FP8Rows
}

// groupInputs is the rule for block FP8. Scales that the checkpoint brings for its inputs
// are not looked at by any engine that is known.
func groupInputs(f Fed) *rounding.Rule {
	switch {
	case f.alone(8):
		return nil
	case f.Config != nil && f.Config.ScaleFmt == "ue8m0":
		return rounding.FP8PowerGroups
	}
	return rounding.FP8Groups
}

// nvfp4Inputs is the rule for NVFP4. Weights alone (NVFP4A16, W4A16_NVFP4) have no scale
// for inputs, or a config without input_activations, by which vLLM goes (formats-2026.md
// §4.1).
func nvfp4Inputs(f Fed) *rounding.Rule {
	if !f.Static || f.alone(4) {
		return nil
	}
	return rounding.NVFP4
}

// mxfp4Inputs is the rule for MXFP4. Most of what is released has weights alone: W4A16 of
// compressed-tensors and gpt-oss. DeepSeek-V4's engines multiply its experts with the FP8
// inputs that all its linears have, and compressed-tensors has presets with inputs of 8
// and of 4 bits (formats-2026.md §3).
func mxfp4Inputs(f Fed) *rounding.Rule {
	if f.Config == nil {
		return nil
	}
	bits, said := f.Config.InputBits(4)
	switch {
	case f.Config.Method == "fp8" || said && bits == 8:
		return groupInputs(Fed{Config: f.Config})
	case said && bits == 4:
		return rounding.MXFP4
	}
	return nil
}

// mxfp8Inputs is the rule for MXFP8.
func mxfp8Inputs(f Fed) *rounding.Rule {
	if f.alone(8) {
		return nil
	}
	return rounding.MXFP8
}
