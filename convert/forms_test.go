package convert_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/convert"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
)

// stacked are codes of several matrices in one tensor.
func stacked(name string, experts, rows, cols int64) item {
	x := codes(name, experts*rows, cols)
	x.Shape = []int64{experts, rows, cols}
	return x
}

// Scales belong to codes under whatever name stands beside them, and lie over two or
// three dimensions; the values are those of the product written out.
func TestScaleForms(t *testing.T) {
	const fused = "model.layers.0.moe.experts.w13"
	for _, c := range []struct {
		weight, scale string
		w, s          []int64
		of            func(e, r, c int64) int64 // index of the scale
	}{
		{proj + ".weight", proj + ".scale_inv", []int64{256, 256}, []int64{2, 2}, func(_, r, c int64) int64 { return r/128*2 + c/128 }},
		{proj + ".weight", proj + ".descale", []int64{256, 256}, []int64{}, func(_, _, _ int64) int64 { return 0 }},
		{proj + ".weight", proj + ".weight_dequant_scale", []int64{160, 256}, []int64{160}, func(_, r, _ int64) int64 { return r }},
		{proj + ".weight", proj + ".weight_scale", []int64{160, 256}, []int64{1, 256}, func(_, _, c int64) int64 { return c }},
		{proj + ".weight", proj + "_scale", []int64{160, 256}, []int64{160, 1}, func(_, r, _ int64) int64 { return r }},
		{fused, fused + "_scale_inv", []int64{3, 160, 130}, []int64{3, 2, 2}, func(e, r, c int64) int64 { return e*4 + r/128*2 + c/128 }},
		{fused, fused + "_scale", []int64{3, 160, 130}, []int64{3, 160, 1}, func(e, r, _ int64) int64 { return e*160 + r }},
		{fused, fused + "_scale", []int64{3, 160, 130}, []int64{3, 1, 160}, func(e, r, _ int64) int64 { return e*160 + r }},
		{fused, fused + "_scale", []int64{3, 160, 130}, []int64{3, 1, 130}, func(e, _, c int64) int64 { return e*130 + c }},
		{fused, fused + "_weight_scale", []int64{3, 160, 130}, []int64{3}, func(e, _, _ int64) int64 { return e }},
		{fused, fused + ".scale", []int64{3, 160, 130}, []int64{3, 1, 1}, func(e, _, _ int64) int64 { return e }},
		{fused, fused + "_scale", []int64{3, 160, 130}, []int64{1}, func(_, _, _ int64) int64 { return 0 }},
	} {
		t.Run(fmt.Sprintf("%s/%v", strings.TrimPrefix(c.scale, "model.layers.0."), c.s), func(t *testing.T) {
			e, rows, cols := int64(1), c.w[0], c.w[len(c.w)-1]
			if len(c.w) == 3 {
				e, rows = c.w[0], c.w[1]
			}
			w := codes(c.weight, e*rows, cols)
			w.Shape = c.w
			n := int64(1)
			for _, d := range c.s {
				n *= d
			}
			s := powers(n)
			out := toBF16(t, checkpoint(t, withQuant(""), w, floatItem(c.scale, safetensors.F32, s, c.s...)))
			if out.Len() != 1 {
				t.Fatalf("%d tensors", out.Len())
			}
			r, _ := out.Lookup(c.weight)
			if !slices.Equal(r.Tensor.Shape, c.w) {
				t.Fatalf("shape %v", r.Tensor.Shape)
			}
			got := data(t, out, c.weight)
			for i := range e * rows * cols {
				row, col := i/cols, i%cols
				want := fp8.BF16FromFloat32(fp8.E4M3ToFloat32(w.raw[i]) * s[c.of(row/rows, row%rows, col)])
				if v := uint16(got[2*i]) | uint16(got[2*i+1])<<8; v != want {
					t.Fatalf("element %d: %04x, want %04x", i, v, want)
				}
			}
		})
	}
}

// What stands beside codes and is not their scale is named.
func TestScaleThatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		name  string
		shape []int64
		say   []string
	}{
		{proj + ".descale", []int64{3, 3}, []string{"descale", "[3 3]", "[256 256]"}},
		{proj + ".amax", []int64{2, 2}, []string{"amax", "[2 2]"}},
		{proj + ".weight_scale_2", []int64{}, []string{"weight_scale_2"}},
	} {
		in, err := hf.Open(checkpoint(t, withQuant(""), codes(proj+".weight", 256, 256), floatItem(c.name, safetensors.F32, powers(product(c.shape)), c.shape...)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = convert.PlanBF16(in, convert.BF16Options{})
		if !errors.Is(err, invalid.Input) {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, s := range c.say {
			if !strings.Contains(err.Error(), s) || strings.Contains(err.Error(), "without a scale (") {
				t.Errorf("%s: %v, want %q", c.name, err, s)
			}
		}
	}
}

func product(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

// Scales of matrices that are not quantized are no fault, and go.
func TestOrphanScales(t *testing.T) {
	dir := checkpoint(t, withQuant(""), floatItem(proj+".weight", safetensors.BF16, powers(128*128), 128, 128), floatItem(proj+".weight_scale_inv", safetensors.F32, []float32{2}, 1, 1))
	for what, c := range map[string]*hf.Checkpoint{"quantize": quantize(t, dir, convert.QuantizeOptions{}), "convert": toBF16(t, dir)} {
		want := map[string]int{"quantize": 2, "convert": 1}[what]
		if c.Len() != want {
			t.Errorf("%s: %v", what, names(c))
		}
	}
}

// FP8 experts in one tensor are divided with their scales; the values stay.
func TestFusedFP8ExpertsAreSplit(t *testing.T) {
	const config = `{"model_type": "qwen3_5_moe_text", "num_hidden_layers": 1, "hidden_size": 256, "moe_intermediate_size": 128, "num_experts": 3, "num_experts_per_tok": 2, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}`
	const at = "model.layers.0.mlp.experts."
	dir := checkpoint(t, config, stacked(at+"gate_up_proj", 3, 256, 256), floatItem(at+"gate_up_proj_scale_inv", safetensors.F32, powers(12), 3, 2, 2))
	c := quantize(t, dir, convert.QuantizeOptions{})
	wide := floats32(data(t, toBF16(t, dir), at+"gate_up_proj"))
	back := toBF16(t, c.Dir)
	for e := range 3 {
		for k, part := range []string{"gate", "up"} {
			got := floats32(data(t, back, fmt.Sprintf("%s%d.%s_proj.weight", at, e, part)))
			if want := wide[(2*e+k)*128*256:][:128*256]; !slices.Equal(got, want) {
				t.Errorf("expert %d %s: other values", e, part)
			}
		}
	}
}

// floats32 are the values of BF16.
func floats32(raw []byte) []float32 {
	out := make([]float32, len(raw)/2)
	for i := range out {
		out[i] = fp8.BF16ToFloat32(uint16(raw[2*i]) | uint16(raw[2*i+1])<<8)
	}
	return out
}

// What --keep, --mtp keep and the input's own list name stays byte for byte, whatever
// becomes of the rest; kept codes are not listed as unquantized.
func TestKeptFP8StaysByteForByte(t *testing.T) {
	const attention = "model.layers.0.self_attn.o_proj"
	config := withQuant(`, "modules_to_not_convert": ["layers.0.mlp.up_proj", "lm_head"]`)
	dir := checkpoint(t, config,
		codes(proj+".weight", 256, 256), floatItem(proj+".weight_scale_inv", safetensors.F32, []float32{.3, .4, .5, .6}, 2, 2),
		codes(attention+".weight", 256, 256), floatItem(attention+".weight_scale_inv", safetensors.BF16, []float32{.3, .4, .5, .6}, 2, 2),
		floatItem("model.layers.0.mlp.down_proj.weight", safetensors.BF16, powers(128*128), 128, 128),
		floatItem("model.layers.0.mlp.up_proj.weight", safetensors.BF16, powers(128*128), 128, 128))
	in := open(t, dir)
	c := quantize(t, dir, convert.QuantizeOptions{Requantize: true, UE8M0: true, Keep: []string{"*self_attn*"}})
	for _, name := range []string{attention + ".weight", attention + ".weight_scale_inv", "model.layers.0.mlp.up_proj.weight"} {
		r, ok := c.Lookup(name)
		before, _ := in.Lookup(name)
		if !ok || r.Tensor.DType != before.Tensor.DType || !slices.Equal(data(t, c, name), data(t, in, name)) {
			t.Errorf("%s changed", name)
		}
	}
	if r, _ := c.Lookup("model.layers.0.mlp.down_proj.weight"); r.Tensor.DType != safetensors.F8E4M3 {
		t.Error("what nobody lists is not quantized")
	}
	for _, s := range floats(data(t, c, proj+".weight_scale_inv")) {
		if f, _ := math.Frexp(float64(s)); f != .5 {
			t.Errorf("scale %v is no power of two", s)
		}
	}
	if got := c.Config.Quant; got.ScaleFmt != "" || !slices.Equal(got.NotConverted, []string{"model.layers.0.mlp.up_proj"}) {
		t.Errorf("%+v", got)
	}
}

// Words about the quantization of the input do not travel with the output, wherever
// they stand; those of other things do.
func TestStaleWords(t *testing.T) {
	const config = `{"model_type": "wrapped", "torch_dtype": "float16", "time_limit": [0.0, Infinity],
		"thinker_config": {"text_config": {"model_type": "llama", "num_hidden_layers": 1, "dtype": "float32", "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}},
		"llm_config": {"dtype": "float16", "compression_config": {"quant_method": "compressed-tensors"}}}`
	dir := checkpoint(t, config, codes(proj+".weight", 128, 128), floatItem(proj+".weight_scale_inv", safetensors.F32, []float32{1}, 1, 1))
	for _, name := range append([]string{"generation_config.json"}, hf.QuantizationNames...) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"quantization": {"quant_algo": "FP8"}}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]*hf.Checkpoint{"quantize": quantize(t, dir, convert.QuantizeOptions{}), "convert": toBF16(t, dir)} {
		text := string(c.ConfigRaw)
		if n := strings.Count(text, "quantization_config") + strings.Count(text, "compression_config"); n != map[string]int{"quantize": 1, "convert": 0}[what] {
			t.Errorf("%s: %s", what, text)
		}
		if what == "convert" && (strings.Contains(text, "float16\"") && strings.Count(text, "bfloat16") != 3 || strings.Contains(text, "float32")) {
			t.Errorf("dtypes: %s", text)
		}
		if !strings.Contains(text, "Infinity") {
			t.Errorf("%s: %s", what, text)
		}
		var side []string
		for _, f := range c.Side {
			side = append(side, f.Name)
		}
		if want := map[string][]string{"quantize": {"README.md", "generation_config.json"}, "convert": {"generation_config.json"}}[what]; !slices.Equal(side, want) {
			t.Errorf("%s: %v", what, side)
		}
	}
}

// Families whose names no rule placed until now are quantized, and what engines fuse
// goes together.
func TestFamiliesOf2026(t *testing.T) {
	k3 := "language_model.model.layers.0.self_attn."
	for _, c := range []struct {
		config          string
		quantized, kept []string
	}{
		{`{"model_type": "deepseek_v4"}`, []string{"layers.0.attn.wq_a", "layers.0.attn.wkv", "layers.0.ffn.experts.0.w1"}, []string{"embed", "head", "layers.0.attn.compressor.wkv", "layers.0.ffn.gate"}},
		{`{"model_type": "nemotron_h"}`, []string{"backbone.layers.0.mixer.experts.0.up_proj", "backbone.layers.1.mixer.o_proj"}, []string{"backbone.embeddings", "backbone.layers.2.mixer.in_proj", "backbone.layers.0.mixer.gate"}},
		{`{"model_type": "kimi_k3", "text_config": {"model_type": "kimi_linear", "num_attention_heads": 2}}`, []string{k3 + "q_proj", k3 + "k_proj", k3 + "v_proj", k3 + "g_proj"}, []string{k3 + "b_proj", k3 + "f_a_proj"}},
		{`{"model_type": "qwen3_omni_moe", "thinker_config": {"text_config": {"num_experts": 4}}}`, []string{"thinker.model.layers.0.mlp.experts.1.up_proj"}, []string{"thinker.visual.blocks.0.attn.qkv", "talker.model.layers.0.self_attn.q_proj"}},
		{`{"model_type": "ernie4_5_moe", "num_hidden_layers": 2}`, []string{"model.mtp_block.0.self_attn.o_proj"}, []string{"model.mtp_linear_proj.0"}},
	} {
		var list []safetensors.Tensor
		for _, m := range append(slices.Clone(c.quantized), c.kept...) {
			list = append(list, tensor(m+".weight", safetensors.BF16, 256, 256))
		}
		p := mustPlan(t, holes(t, c.config, list...), convert.QuantizeOptions{})
		for i := range p.Tensors {
			if x := &p.Tensors[i]; x.Meta.Param == "weight" && slices.Contains(c.quantized, x.Meta.Module) != (x.Op == plan.Quantize) {
				t.Errorf("%s: %s: %s %s", c.config, x.Name, x.Op, x.Why)
			}
		}
		if len(c.quantized) == 4 {
			p = mustPlan(t, holes(t, c.config, append(list, tensor("model.layers.5.self_attn.o_proj.weight", safetensors.BF16, 256, 256))...), convert.QuantizeOptions{Keep: []string{"*g_proj"}})
			for i := range p.Tensors {
				if x := &p.Tensors[i]; x.Op == plan.Quantize && slices.Contains(c.quantized, x.Meta.Module) {
					t.Errorf("%s is quantized although its gate is kept", x.Name)
				}
			}
		}
	}
}

// Values that no weight has are remarked: scales that are reciprocals lead there.
func TestReciprocalScalesAreRemarked(t *testing.T) {
	for scale, want := range map[float32]int{0.01: 0, 2000: 1} {
		dir := checkpoint(t, withQuant(""), codes(proj+".weight", 128, 128), floatItem(proj+".weight_scale_inv", safetensors.F32, []float32{scale}, 1, 1))
		in := open(t, dir)
		p, err := convert.PlanBF16(in, convert.BF16Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := convert.Run(t.Context(), in, p, filepath.Join(t.TempDir(), "out"), convert.RunOptions{})
		if err != nil || len(r.Remarks) != want {
			t.Errorf("scale %v: %q, %v", scale, r.Remarks, err)
		}
	}
}
