package scheme_test

import (
	"testing"

	"quern/formats/model"
	"quern/scheme"
	"quern/scheme/rounding"
)

// Which rule the inputs of a weight go by, from its scheme, the scale that is there for
// them and what config.json says.
func TestRounds(t *testing.T) {
	says := func(bits int, inputs bool, inputBits int) *model.Quantization {
		return &model.Quantization{Method: "compressed-tensors", Groups: []model.QuantGroup{{NumBits: bits, Activations: inputs, InputBits: inputBits}}}
	}
	powers := &model.Quantization{Method: "fp8", ScaleFmt: "ue8m0"}
	for i, x := range []struct {
		scheme *scheme.Scheme
		static bool
		config *model.Quantization
		want   *rounding.Rule
	}{
		{scheme.BlockFP8, false, nil, rounding.FP8Groups},
		{scheme.BlockFP8, true, nil, rounding.FP8Groups}, // no engine takes such scales
		{scheme.BlockFP8, false, powers, rounding.FP8PowerGroups},
		{scheme.BlockFP8, false, says(8, false, 0), nil},
		{scheme.ChannelFP8, false, says(8, true, 8), rounding.FP8Rows},
		{scheme.ChannelFP8, true, says(8, true, 8), rounding.FP8Tensor},
		{scheme.ChannelFP8, false, says(8, false, 0), nil},
		{scheme.TensorFP8, true, nil, rounding.FP8Tensor},
		{scheme.TensorFP8, false, nil, rounding.FP8Rows},
		{scheme.MXFP8, false, nil, rounding.MXFP8},
		{scheme.MXFP8, false, says(8, false, 0), nil}, // MXFP8A16
		{scheme.NVFP4, true, nil, rounding.NVFP4},
		{scheme.NVFP4, true, says(4, true, 4), rounding.NVFP4},
		{scheme.NVFP4, true, says(4, false, 0), nil},           // NVFP4A16
		{scheme.NVFP4, true, says(8, true, 8), rounding.NVFP4}, // a mix, whose groups are of others
		{scheme.NVFP4, false, nil, nil},                        // W4A16_NVFP4
		{scheme.MXFP4, false, nil, nil},
		{scheme.MXFP4, false, says(4, false, 0), nil},
		{scheme.MXFP4, false, says(4, true, 0), rounding.MXFP4},
		{scheme.MXFP4, false, says(4, true, 8), rounding.FP8Groups},
		{scheme.MXFP4, false, powers, rounding.FP8PowerGroups}, // DeepSeek-V4's experts
		{scheme.MXFP4Turned, false, &model.Quantization{Method: "mxfp4"}, nil},
		{scheme.INT4, false, says(4, false, 0), nil},
	} {
		if got := x.scheme.Rounds(scheme.Fed{Static: x.static, Config: x.config}); got != x.want {
			t.Errorf("%d, %s: %v instead of %v", i, x.scheme.Name, got, x.want)
		}
	}
	for _, r := range rounding.All {
		if rounding.Find(r.Name) != r {
			t.Errorf("%s is not found", r.Name)
		}
	}
}
