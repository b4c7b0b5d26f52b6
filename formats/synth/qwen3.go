package synth

import (
	"fmt"

	"quern/formats/safetensors"
)

// Qwen3MoE are the dimensions of a checkpoint of Qwen3's mixture of experts in BF16.
type Qwen3MoE struct {
	Hidden, Layers, Experts, MoEInter int
	Vocab, Heads, KVHeads, HeadDim    int
	ShardBytes                        int64
	Sparse                            bool // data regions are holes
	Seed                              uint64
}

// Qwen3A3B is the shape of Qwen3-30B-A3B, of which a few layers may be made.
func Qwen3A3B() Qwen3MoE {
	return Qwen3MoE{Hidden: 2048, Layers: 48, Experts: 128, MoEInter: 768, Vocab: 151936, Heads: 32, KVHeads: 4, HeadDim: 128, ShardBytes: 4 << 30}
}

// Tensors are the names, dtypes and shapes, in the model's order.
func (q Qwen3MoE) Tensors() []safetensors.Tensor {
	var out []safetensors.Tensor
	add := func(name string, shape ...int64) {
		out = append(out, safetensors.Tensor{Name: name, DType: safetensors.BF16, Shape: shape})
	}
	hidden, inter, vocab, head := int64(q.Hidden), int64(q.MoEInter), int64(q.Vocab), int64(q.HeadDim)
	queries, keys := int64(q.Heads)*head, int64(q.KVHeads)*head
	add("model.embed_tokens.weight", vocab, hidden)
	for l := range q.Layers {
		p := fmt.Sprintf("model.layers.%d.", l)
		add(p+"input_layernorm.weight", hidden)
		add(p+"post_attention_layernorm.weight", hidden)
		a := p + "self_attn."
		add(a+"q_proj.weight", queries, hidden)
		add(a+"k_proj.weight", keys, hidden)
		add(a+"v_proj.weight", keys, hidden)
		add(a+"o_proj.weight", hidden, queries)
		add(a+"q_norm.weight", head)
		add(a+"k_norm.weight", head)
		add(p+"mlp.gate.weight", int64(q.Experts), hidden)
		for e := range q.Experts {
			x := fmt.Sprintf("%smlp.experts.%d.", p, e)
			add(x+"gate_proj.weight", inter, hidden)
			add(x+"up_proj.weight", inter, hidden)
			add(x+"down_proj.weight", hidden, inter)
		}
	}
	add("model.norm.weight", hidden)
	add("lm_head.weight", vocab, hidden)
	return out
}

// Config is the config.json, as Qwen3-30B-A3B has it.
func (q Qwen3MoE) Config() map[string]any {
	return map[string]any{
		"architectures": []string{"Qwen3MoeForCausalLM"}, "model_type": "qwen3_moe", "torch_dtype": "bfloat16",
		"vocab_size": q.Vocab, "hidden_size": q.Hidden, "intermediate_size": 3 * q.Hidden, "moe_intermediate_size": q.MoEInter,
		"num_hidden_layers": q.Layers, "num_attention_heads": q.Heads, "num_key_value_heads": q.KVHeads, "head_dim": q.HeadDim,
		"num_experts": q.Experts, "num_experts_per_tok": min(8, q.Experts), "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": []int{},
		"attention_bias": false, "hidden_act": "silu", "max_position_embeddings": 40960, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
		"rope_scaling": nil, "sliding_window": nil, "use_sliding_window": false, "tie_word_embeddings": false, "bos_token_id": 151643, "eos_token_id": 151645,
	}
}

// Write makes the checkpoint in dir, which it creates: shards, index, config.
func (q Qwen3MoE) Write(dir string) error {
	return write(dir, q.Tensors(), q.Config(), q.ShardBytes, q.Sparse, q.Seed)
}
