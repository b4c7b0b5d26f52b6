// Package synth makes checkpoints to test and measure with: DeepSeek-V3's
// shape in any size, up to the released 671B as files of holes that take no
// disk.
package synth

import (
	"fmt"

	"quern/formats/safetensors"
)

// V3 are the dimensions of a DeepSeek-V3-shaped checkpoint in BF16, with one
// MTP layer.
type V3 struct {
	Hidden, Layers, Dense, Experts int
	Inter, MoEInter, Vocab         int
	Heads, QLora, KVLora           int
	ShardBytes                     int64
	DType                          safetensors.DType // of weights; 0: BF16
	Sparse                         bool              // data regions are holes
	Seed                           uint64
}

// Released is the shape of DeepSeek-V3: 46,183 tensors in BF16.
func Released() V3 {
	return V3{Hidden: 7168, Layers: 61, Dense: 3, Experts: 256, Inter: 18432, MoEInter: 2048, Vocab: 129280, Heads: 128, QLora: 1536, KVLora: 512, ShardBytes: 8600 << 20, Sparse: true}
}

// Small is a shape of 100 MB or so in several shards, with ragged matrices.
func Small() V3 {
	return V3{Hidden: 1024, Layers: 3, Dense: 1, Experts: 16, Inter: 2048, MoEInter: 512, Vocab: 8000, Heads: 8, QLora: 320, KVLora: 128, ShardBytes: 40 << 20}
}

// Tiny is a shape of about 1 MB in several shards.
func Tiny() V3 {
	return V3{Hidden: 136, Layers: 2, Dense: 1, Experts: 4, Inter: 200, MoEInter: 72, Vocab: 64, Heads: 2, QLora: 40, KVLora: 24, ShardBytes: 200 << 10}
}

const nope, rope, vdim = 128, 64, 128

// Tensors are the names, dtypes and shapes, in the model's order.
func (v V3) Tensors() []safetensors.Tensor {
	var out []safetensors.Tensor
	dt := v.DType
	if dt == 0 {
		dt = safetensors.BF16
	}
	add := func(name string, shape ...int) {
		d := dt
		if len(name) > 23 && name[len(name)-23:] == "e_score_correction_bias" {
			d = safetensors.F32
		}
		s := make([]int64, len(shape))
		for i, n := range shape {
			s[i] = int64(n)
		}
		out = append(out, safetensors.Tensor{Name: name, DType: d, Shape: s})
	}
	mlp := func(p string, inter int) {
		add(p+"gate_proj.weight", inter, v.Hidden)
		add(p+"up_proj.weight", inter, v.Hidden)
		add(p+"down_proj.weight", v.Hidden, inter)
	}
	layer := func(l int, moe bool) {
		p := fmt.Sprintf("model.layers.%d.", l)
		add(p+"input_layernorm.weight", v.Hidden)
		add(p+"post_attention_layernorm.weight", v.Hidden)
		a := p + "self_attn."
		add(a+"q_a_proj.weight", v.QLora, v.Hidden)
		add(a+"q_a_layernorm.weight", v.QLora)
		add(a+"q_b_proj.weight", v.Heads*(nope+rope), v.QLora)
		add(a+"kv_a_proj_with_mqa.weight", v.KVLora+rope, v.Hidden)
		add(a+"kv_a_layernorm.weight", v.KVLora)
		add(a+"kv_b_proj.weight", v.Heads*(nope+vdim), v.KVLora)
		add(a+"o_proj.weight", v.Hidden, v.Heads*vdim)
		if !moe {
			mlp(p+"mlp.", v.Inter)
			return
		}
		add(p+"mlp.gate.weight", v.Experts, v.Hidden)
		add(p+"mlp.gate.e_score_correction_bias", v.Experts)
		for e := range v.Experts {
			mlp(fmt.Sprintf("%smlp.experts.%d.", p, e), v.MoEInter)
		}
		mlp(p+"mlp.shared_experts.", v.MoEInter)
	}
	add("model.embed_tokens.weight", v.Vocab, v.Hidden)
	for l := range v.Layers {
		layer(l, l >= v.Dense)
	}
	p := fmt.Sprintf("model.layers.%d.", v.Layers)
	add(p+"embed_tokens.weight", v.Vocab, v.Hidden)
	add(p+"enorm.weight", v.Hidden)
	add(p+"hnorm.weight", v.Hidden)
	add(p+"eh_proj.weight", v.Hidden, 2*v.Hidden)
	layer(v.Layers, true)
	add(p+"shared_head.norm.weight", v.Hidden)
	add(p+"shared_head.head.weight", v.Vocab, v.Hidden)
	add("model.norm.weight", v.Hidden)
	add("lm_head.weight", v.Vocab, v.Hidden)
	return out
}

// Config is the config.json, of the older generation.
func (v V3) Config() map[string]any {
	return map[string]any{
		"architectures": []string{"DeepseekV3ForCausalLM"}, "model_type": "deepseek_v3", "torch_dtype": "bfloat16",
		"vocab_size": v.Vocab, "hidden_size": v.Hidden, "intermediate_size": v.Inter, "moe_intermediate_size": v.MoEInter,
		"num_hidden_layers": v.Layers, "num_nextn_predict_layers": 1, "num_attention_heads": v.Heads, "num_key_value_heads": v.Heads,
		"n_shared_experts": 1, "n_routed_experts": v.Experts, "num_experts_per_tok": min(8, v.Experts), "n_group": min(8, v.Experts), "topk_group": min(4, v.Experts),
		"kv_lora_rank": v.KVLora, "q_lora_rank": v.QLora, "qk_rope_head_dim": rope, "qk_nope_head_dim": nope, "v_head_dim": vdim,
		"topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": true, "routed_scaling_factor": 2.5, "moe_layer_freq": 1, "first_k_dense_replace": v.Dense,
		"hidden_act": "silu", "max_position_embeddings": 163840, "rms_norm_eps": 1e-6, "rope_theta": 10000, "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 1,
		"rope_scaling": map[string]any{"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
	}
}

// Write makes the checkpoint in dir, which it creates: shards, index, config.
func (v V3) Write(dir string) error {
	return write(dir, v.Tensors(), v.Config(), v.ShardBytes, v.Sparse, v.Seed)
}
