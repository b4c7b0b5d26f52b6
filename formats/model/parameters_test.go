package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"quern/formats/safetensors"
	"quern/formats/synth"
)

// TestParametersV3 holds the published sizes of DeepSeek-V3: 671B, 37B active, and
// the MTP layer with its copies of embedding and head.
func TestParametersV3(t *testing.T) {
	a := Lookup(testConfig(t, "old_generation"))
	tensors := 0
	got := a.Parameters(func(yield func(Tensor, int64) bool) {
		for _, x := range synth.Released().Tensors() {
			name, shape := x.Name, x.Shape
			tensors++
			n := int64(1)
			for _, d := range shape {
				n *= d
			}
			c := a.Classify(name, safetensors.BF16, shape)
			if c.Role == Unknown {
				t.Errorf("%s: %s", name, c.Why)
			}
			want, ok := a.ExpectedShape(c)
			if !ok || !slices.Equal(want, shape) {
				t.Errorf("%s: expected shape %d, %v; it is %d", name, want, ok, shape)
			}
			if !yield(c, n) {
				return
			}
		}
	})
	want := Parameters{Total: 671_026_419_200, Active: 37_552_297_472, MTP: 13_463_426_304}
	if got != want || tensors != 46_183 {
		t.Errorf("%+v of %d tensors, want %+v of 46183", got, tensors, want)
	}
}

// TestParametersCount counts what is not one weight for one element.
func TestParametersCount(t *testing.T) {
	for _, c := range []struct {
		config string
		pairs  map[string]int64 // name and dtype; elements
		want   Parameters
	}{
		// 2 of 4 experts, two FP4 weights to a byte, scales and tables not counted.
		{"deepseek_v4", map[string]int64{
			"layers.0.ffn.experts.0.w1.weight I8":      10,
			"layers.0.ffn.experts.0.w1.scale F8_E8M0":  10,
			"layers.0.ffn.gate.tid2eid I64":            100,
			"embed.weight BF16":                        7,
			"mtp.0.ffn.experts.0.w1.weight I8":         5,
			"mtp.0.attn.wq_a.weight F8_E4M3":           3,
			"layers.0.attn.wq_a.weight F8_E4M3":        1,
			"layers.0.ffn.shared_experts.w1.scale F32": 9,
		}, Parameters{Total: 28, Active: 18, MTP: 13}},
		// Integers of 4 bits in 32; 4 of 16 experts.
		{"kimi_k25", map[string]int64{
			"language_model.model.layers.1.mlp.experts.9.up_proj.weight_packed I32": 4,
			"language_model.model.layers.1.mlp.experts.9.up_proj.weight_shape I64":  2,
			"language_model.model.layers.1.mlp.experts.9.up_proj.weight_scale BF16": 9,
			"language_model.model.norm.weight BF16":                                 1,
		}, Parameters{Total: 33, Active: 9}},
		// All experts in one tensor, with their biases; 4 of 8.
		{"gpt_oss_mxfp4", map[string]int64{
			"model.layers.0.mlp.experts.down_proj_blocks U8": 8,
			"model.layers.0.mlp.experts.down_proj_scales U8": 8,
			"model.layers.0.mlp.experts.down_proj_bias BF16": 2,
			"model.layers.0.mlp.router.weight BF16":          3,
		}, Parameters{Total: 21, Active: 12}},
	} {
		a := Lookup(testConfig(t, c.config))
		got := a.Parameters(func(yield func(Tensor, int64) bool) {
			for k, n := range c.pairs {
				var name, dtype string
				if _, err := fmt.Sscan(k, &name, &dtype); err != nil {
					t.Fatal(err)
				}
				d, err := safetensors.ParseDType(dtype)
				if err != nil {
					t.Fatal(err)
				}
				if !yield(a.Classify(name, d, []int64{n}), n) {
					return
				}
			}
		})
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.config, got, c.want)
		}
	}
}

// TestActiveUnknown: without a config nobody knows how many experts are chosen.
func TestActiveUnknown(t *testing.T) {
	a := Lookup(nil)
	got := a.Parameters(func(yield func(Tensor, int64) bool) {
		yield(a.Classify("model.layers.0.mlp.experts.3.up_proj.weight", safetensors.BF16, []int64{2, 2}), 4)
	})
	if want := (Parameters{Total: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// names are those of the FP8 release, 91,991 tensors.
func releasedFP8(a *Arch) (names []string, dtypes []safetensors.DType, shapes [][]int64) {
	for _, x := range synth.Released().Tensors() {
		name, shape := x.Name, x.Shape
		dtype := safetensors.BF16
		if a.Classify(name, dtype, shape).Quantize {
			dtype = safetensors.F8E4M3
			names = append(names, name+"_scale_inv")
			dtypes = append(dtypes, safetensors.F32)
			shapes = append(shapes, []int64{(shape[0] + 127) / 128, (shape[1] + 127) / 128})
		}
		names, dtypes, shapes = append(names, name), append(dtypes, dtype), append(shapes, shape)
	}
	return names, dtypes, shapes
}

// TestReleasedFP8 holds the number of tensors and bytes of the published FP8
// checkpoint, which is what quantizing all of the rules' linears must give.
func TestReleasedFP8(t *testing.T) {
	a := Lookup(testConfig(t, "old_generation"))
	names, dtypes, shapes := releasedFP8(a)
	var bytes int64
	for i := range names {
		dtype := dtypes[i]
		if a.Classify(names[i], dtype, shapes[i]).Param == "e_score_correction_bias" {
			dtype = safetensors.F32
		}
		n, err := safetensors.SizeOf(dtype, shapes[i])
		if err != nil {
			t.Fatal(err)
		}
		bytes += n
	}
	if len(names) != 91_991 || bytes != 688_574_839_360 {
		t.Errorf("%d tensors of %d bytes, want 91991 of 688574839360", len(names), bytes)
	}
}

// BenchmarkClassify reads all names of the FP8 release.
func BenchmarkClassify(b *testing.B) {
	a := Lookup(testConfig(b, "old_generation"))
	names, dtypes, shapes := releasedFP8(a)
	b.ReportAllocs()
	for b.Loop() {
		for i := range names {
			a.Classify(names[i], dtypes[i], shapes[i])
		}
	}
}

// What cannot be known is not stated: a model whose experts no rule finds, or whose
// config does not say how many are chosen, under whatever key others say it.
func TestActiveNotStated(t *testing.T) {
	const expert, odd = "model.layers.0.mlp.experts.0.up_proj.weight", "model.layers.0.blob.expert_bank"
	for _, c := range []struct {
		config, tensor string
		shape          []int64
		active         int64
	}{
		{`{"num_experts":4,"num_experts_per_tok":2}`, expert, []int64{8, 8}, 32},
		{`{"num_experts":4,"num_experts_per_token":1}`, expert, []int64{8, 8}, 16},
		{`{"moe_num_experts":[4,4],"moe_k":1}`, expert, []int64{8, 8}, 16},
		{`{"num_experts":4,"moe_topk":1}`, expert, []int64{8, 8}, 16},
		{`{"num_experts":4,"moe_top_k":1}`, expert, []int64{8, 8}, 16},
		{`{"num_experts":4,"top_k_experts":1}`, expert, []int64{8, 8}, 16},
		{`{"ffn_config":{"moe_num_experts":4,"moe_top_k":1}}`, expert, []int64{8, 8}, 16},
		{`{"thinker_config":{"text_config":{"num_experts":4,"num_experts_per_tok":1}}}`, "thinker." + expert, []int64{8, 8}, 16},
		{`{"num_experts":4}`, expert, []int64{8, 8}, 0},
		{`{"num_experts":4,"num_experts_per_tok":2}`, odd, []int64{4, 8, 8}, 0},
		{`{"num_experts":4,"num_experts_per_tok":2}`, "model.layers.0.blob.weight", []int64{8, 8}, 0},
		{`{}`, odd, []int64{4, 8, 8}, 0},
		{`{}`, "model.layers.0.mlp.up_proj.weight", []int64{8, 8}, 64},
	} {
		cfg, err := parse(t, c.config)
		if err != nil {
			t.Fatal(err)
		}
		a := Lookup(cfg)
		n := int64(1)
		for _, d := range c.shape {
			n *= d
		}
		p := a.Parameters(func(yield func(Tensor, int64) bool) { yield(a.Classify(c.tensor, safetensors.BF16, c.shape), n) })
		if p.Active != c.active {
			t.Errorf("%s, %s: %d active, want %d", c.config, c.tensor, p.Active, c.active)
		}
		text, _ := json.Marshal(p)
		if strings.Contains(string(text), "active") != (c.active > 0) || p.Total != n {
			t.Errorf("%s", text)
		}
	}
	// ERNIE's MTP block and its projections are none of the model's own weights.
	cfg, _ := parse(t, `{"num_hidden_layers":28}`)
	a := Lookup(cfg)
	for _, name := range []string{"model.mtp_block.0.mlp.up_proj.weight", "model.mtp_linear_proj.0.weight", "model.mtp_emb_norm.0.weight", "model.mtp_hidden_norm.0.weight"} {
		if m := a.Classify(name, safetensors.BF16, []int64{8, 8}); !m.MTP || m.Layer != 28 || m.Role == Unknown {
			t.Errorf("%s: %+v", name, m)
		}
	}
}
