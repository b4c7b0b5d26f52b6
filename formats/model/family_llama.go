package model

// llama are Meta's models.
var llama = []family{
	{
		name: "llama", types: []string{"llama"}, classes: []string{"LlamaForCausalLM"},
		rows: [][]row{outer, norms, gqa, dense}, fused: unknownLayout,
	},
	{
		// intermediate_size is that of experts and of the shared one; dense layers have
		// intermediate_size_mlp. Layers rotate but for every fourth, and every
		// interleave_moe_layer_step-th has experts (moe_layers says which).
		name: "llama4", types: []string{"llama4", "llama4_text"}, classes: []string{"Llama4ForConditionalGeneration", "Llama4ForCausalLM"},
		rows: [][]row{
			outer, norms, gqa, renamed(dense, "mlp.", "feed_forward."),
			renamed(experts, "mlp.gate.", "feed_forward.router.", "mlp.", "feed_forward."),
			renamed(transposedExperts, "mlp.", "feed_forward."), renamed(shared, "mlp.shared_experts", "feed_forward.shared_expert"),
		},
		fused:    layout{transposed: true},
		complete: llama4Defaults,
	},
	{
		// Nemotron-NAS: a Llama whose layers differ in size or lack a block
		// (block_configs).
		name: "nemotron-nas", types: []string{"nemotron-nas"}, classes: []string{"DeciLMForCausalLM"},
		rows: [][]row{
			outer, within(hasHeads, norms[:1]), within(hasInner, norms[1:]), within(hasHeads, gqa), within(hasInner, dense),
		},
		fused: unknownLayout,
	},
}

var (
	hasHeads when = func(c *Config, l int) bool { return c.KVHeadsOf(l) > 0 }
	hasInner when = func(c *Config, l int) bool { return c.DenseSize(l) > 0 }
)
