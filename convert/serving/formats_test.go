package serving_test

import (
	"testing"

	"quern/convert"
	"quern/convert/container"
	"quern/convert/serving"
	"quern/formats/safetensors"
	"quern/scheme"
)

// What engines make of the schemes with groups, planned.
func TestGroupSchemes(t *testing.T) {
	const config = `{"model_type": "qwen3_moe", "architectures": ["Qwen3MoeForCausalLM"]}`
	list := append(bf16("model.layers.0.mlp.experts.0.down_proj.weight", 128, 128), bf16("model.layers.0.self_attn.o_proj.weight", 128, 128)...)
	for _, c := range []struct {
		o        convert.QuantizeOptions
		engine   serving.Engine
		severity serving.Severity
		words    string
		says     bool
	}{
		{convert.QuantizeOptions{Scheme: scheme.MXFP8}, serving.SGLang, serving.Limits, "Blackwell", true},
		{convert.QuantizeOptions{Scheme: scheme.MXFP8}, serving.TensorRT, serving.Refuses, "", false},
		{convert.QuantizeOptions{Scheme: scheme.MXFP8, Container: container.CompressedTensors}, serving.TensorRT, serving.Refuses, "MXFP8 weights", true},
		{convert.QuantizeOptions{Scheme: scheme.ChannelFP8}, serving.TensorRT, serving.Refuses, "", false},
		{convert.QuantizeOptions{Scheme: scheme.INT4}, serving.TensorRT, serving.Refuses, "INT4 weights", true},
		{convert.QuantizeOptions{Scheme: scheme.MXFP4}, serving.TensorRT, serving.Refuses, "", false},
		{convert.QuantizeOptions{Scheme: scheme.MXFP4}, serving.SGLang, serving.Refuses, "", false},
		{convert.QuantizeOptions{Scheme: scheme.BlockFP8, Container: container.ModelOpt}, serving.SGLang, serving.Refuses, "FP8_PB_WO", true},
		{convert.QuantizeOptions{Scheme: scheme.BlockFP8, Container: container.ModelOpt}, serving.VLLM, serving.Refuses, "FP8_PB_WO", true},
		{convert.QuantizeOptions{Scheme: scheme.BlockFP8}, serving.VLLM, serving.Refuses, "FP8_PB_WO", false},
		{convert.QuantizeOptions{Scheme: scheme.TensorFP8}, serving.VLLM, serving.Refuses, "FP8_PB_WO", false},
		{convert.QuantizeOptions{Scheme: scheme.TensorFP8}, serving.Transformers, serving.Misreads, "ModelOpt", true},
		{convert.QuantizeOptions{Scheme: scheme.ChannelFP8}, serving.Transformers, serving.Misreads, "ModelOpt", false},
		{convert.QuantizeOptions{Scheme: scheme.MXFP8, Container: container.ModelOpt}, serving.SGLang, serving.Refuses, "MXFP8", true},
		{convert.QuantizeOptions{Scheme: scheme.MXFP8}, serving.SGLang, serving.Refuses, "MXFP8", false},
		{convert.QuantizeOptions{Scheme: scheme.NVFP4, Container: container.CompressedTensors}, serving.Transformers, serving.Misreads, "NVFP4 experts", true},
		{convert.QuantizeOptions{Scheme: scheme.NVFP4}, serving.Transformers, serving.Misreads, "NVFP4 experts", false},
	} {
		if got := says(planned(t, config, c.o, list).Notes(), c.engine, c.severity, c.words); got != c.says {
			t.Errorf("%s, %s: %v", c.o.Scheme.Name, c.engine, got)
		}
	}
	dense := append(
		[]safetensors.Tensor{{Name: "model.layers.0.self_attn.o_proj.weight_packed", DType: safetensors.U8, Shape: []int64{128, 64}}},
		safetensors.Tensor{Name: "model.layers.0.self_attn.o_proj.weight_scale", DType: safetensors.U8, Shape: []int64{128, 4}})
	f := atHand(t, `{"model_type": "qwen3_moe", "quantization_config": {"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized",
		"config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32}}}}}`, dense)
	if !says(f.Notes(), serving.SGLang, serving.Refuses, "routed experts only") {
		t.Errorf("%+v", f.Notes())
	}
}
