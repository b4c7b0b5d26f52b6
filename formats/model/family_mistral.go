package model

// mistral are Mistral's models.
var mistral = []family{
	{
		name: "mistral", types: []string{"mistral"}, classes: []string{"MistralForCausalLM"},
		rows: [][]row{outer, norms, gqa, dense}, fused: unknownLayout,
	},
	{
		name: "mixtral", types: []string{"mixtral"}, classes: []string{"MixtralForCausalLM"},
		rows: [][]row{outer, norms, gqa, blockExperts}, fused: unknownLayout,
	},
	{
		name: "mistral4", types: []string{"mistral4"}, classes: []string{"Mistral4ForCausalLM"},
		rows: [][]row{outer, norms, mla, dense, experts, fusedExperts, shared},
	},
	{
		// Sparse attention without a query latent, keys and values of kv_source_layers,
		// layers without positions, a learned scale of scores by head, and learned
		// frequencies.
		name:    "mistral_large4",
		types:   []string{"mistral_large4", "mistral_large4_text"},
		classes: []string{"MistralLarge4ForConditionalGeneration", "MistralLarge4ForCausalLM"},
		layer: []entry{
			{"attention.wq", rule{role: Attention, part: "q"}},
			{"attention.wkv_a_with_mqa", rule{role: Attention, part: "kv_a"}},
			{"attention.wkv_b", rule{role: Attention, part: "kv_b"}},
			{"attention.ssmax_scaling.s", rule{role: Factor, part: "softmax.s"}},
			{"attention.ssmax_scaling.b", rule{role: Factor, part: "softmax.b"}},
			{"attention.indexer.ssmax_scaling.s", rule{role: Factor, part: "indexer.softmax.s"}},
			{"attention.indexer.ssmax_scaling.b", rule{role: Factor, part: "indexer.softmax.b"}},
			{"attention.indexer.q_input_norm", rule{role: Norm, part: "indexer.q_input_norm"}},
			{"gate", rule{role: Router, flags: byExpert}},
			{"gate.e_score_correction_bias", rule{role: RouterBias, flags: byExpert}},
			{"experts.#.w1", rule{RoutedExpert, "gate", "gate_up_proj", expert}},
			{"experts.#.w3", rule{RoutedExpert, "up", "gate_up_proj", expert}},
			{"experts.#.w2", rule{RoutedExpert, "down", "", expert}},
			{"shared_experts.gate_proj", rule{role: SharedExpert, part: "gate", fused: "gate_up_proj"}},
			{"shared_experts.up_proj", rule{role: SharedExpert, part: "up", fused: "gate_up_proj"}},
			{"shared_experts.down_proj", rule{role: SharedExpert, part: "down"}},
		},
		root:  []entry{{"rotary_emb.alpha", rule{role: Factor, part: "rotary.alpha"}}},
		rows:  [][]row{outer, large4, renamed(dense, "mlp.", "feed_forward."), large4Experts, renamed(shared, "mlp.", "")},
		fused: unknownLayout, complete: normalized,
	},
}

var (
	large4Rope dim = func(c *Config, l int) int {
		if c.RotatesAt(l) {
			return c.QKRopeHeadDim
		}
		return 0
	}
	// Without positions a head keeps its size, and all of it comes from the latent.
	large4A dim = func(c *Config, l int) int { return c.KVLoraRank + large4Rope(c, l) }
	large4B     = times(heads, func(c *Config, l int) int { return c.QKHeadDim() - large4Rope(c, l) + c.VHeadDim })

	large4 = []row{
		{key: "attention_norm.weight", shape: []dim{hidden}},
		{key: "ffn_norm.weight", shape: []dim{hidden}},
		{key: "attention.wq.weight", shape: []dim{qkRows, hidden}},
		{key: "attention.wkv_a_with_mqa.weight", shape: []dim{large4A, hidden}, in: ownKV},
		{key: "attention.kv_a_norm.weight", shape: []dim{kvRank}, in: ownKV},
		{key: "attention.wkv_b.weight", shape: []dim{large4B, kvRank}},
		{key: "attention.o_proj.weight", shape: []dim{hidden, vRows}},
		{key: "attention.ssmax_scaling.s", shape: []dim{heads}},
		{key: "attention.ssmax_scaling.b", shape: []dim{heads}},
		{key: "attention.indexer.q_input_norm.weight", shape: []dim{hidden}, in: isIndexed},
		{key: "attention.indexer.q_input_norm.bias", shape: []dim{hidden}, in: isIndexed},
		{key: "attention.indexer.wq_b.weight", shape: []dim{indexQ, hidden}, in: isIndexed},
		{key: "attention.indexer.wk.weight", shape: []dim{indexHead, hidden}, in: isIndexed},
		{key: "attention.indexer.k_norm.weight", shape: []dim{indexHead}, in: isIndexed},
		{key: "attention.indexer.k_norm.bias", shape: []dim{indexHead}, in: isIndexed},
		{key: "attention.indexer.weights_proj.weight", shape: []dim{indexHeads, hidden}, in: isIndexed},
		{key: "attention.indexer.ssmax_scaling.s", shape: []dim{indexHeads}, in: isIndexed},
		{key: "attention.indexer.ssmax_scaling.b", shape: []dim{indexHeads}, in: isIndexed},
		{key: "rotary_emb.alpha", shape: []dim{of(func(c *Config) int { return c.QKRopeHeadDim / 2 })}, root: true},
	}
	large4Experts = []row{
		{key: "gate.weight", shape: []dim{nExperts, hidden}, in: isSparse},
		{key: "gate.e_score_correction_bias", shape: []dim{nExperts}, in: isSparse, optional: true},
		{key: "experts.#.w1.weight", shape: []dim{inner1, hidden}, in: isSparse},
		{key: "experts.#.w2.weight", shape: []dim{hidden, inner1}, in: isSparse},
		{key: "experts.#.w3.weight", shape: []dim{inner1, hidden}, in: isSparse},
	}
)
