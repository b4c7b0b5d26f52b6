package model

// glm are Zhipu's models.
var glm = []family{
	{
		name: "glm4_moe", types: []string{"glm4_moe"}, classes: []string{"Glm4MoeForCausalLM"},
		rows: [][]row{outer, norms, gqa, headNorms, dense, experts, correction, shared, nextn}, fused: unknownLayout, mtpLayers: true,
	},
	{
		name: "glm4_moe_lite", types: []string{"glm4_moe_lite"}, classes: []string{"Glm4MoeLiteForCausalLM"},
		rows: [][]row{outer, norms, mla, dense, experts, correction, shared, nextn}, fused: unknownLayout, mtpLayers: true,
	},
	{
		// The indexers of layers whose indexer_types is "shared" are not there (5.2).
		name: "glm_moe_dsa", types: []string{"glm_moe_dsa"}, classes: []string{"GlmMoeDsaForCausalLM"},
		rows: [][]row{outer, norms, mla, within(isIndexed, indexer), dense, experts, fusedExperts, correction, shared, nextn}, mtpLayers: true, complete: indexed(32),
	},
	{
		// GLM-5.3: three layers of delta attention to one of latent attention without
		// positions, whose indexer pools index_kpool keys to a score; four streams of
		// the residual, whose mean is the output (no hc_head).
		name: "glm5_next", types: []string{"glm5_next", "glm5_next_text"}, classes: []string{"Glm5NextForConditionalGeneration", "Glm5NextForCausalLM"},
		layer: append([]entry{
			{"@attn.indexer.index_kpool_compress_ape", rule{role: Compressor, part: "indexer.ape"}},
			{"@attn.indexer.index_kpool_compress_gate", rule{role: Compressor, part: "indexer.gate"}},
		}, append(gateProduct, streamNames...)...),
		rows: [][]row{
			outer, norms, within(isLinear, kda), within(isLinear, kdaLog), within(isLinear, kdaDecay), within(isLinear, kdaGate),
			within(isFull, mla), within(both(isFull, isIndexed), indexer), within(both(isFull, isIndexed), pooled),
			within(not(isNextN), streamed), dense, experts, correction, shared, optional(nextn),
		},
		fused: unknownLayout, mtpLayers: true, complete: hybridGLM,
	},
}

// pooled weighs the keys that share a score.
var pooled = []row{
	{key: "self_attn.indexer.index_kpool_compress_ape", shape: []dim{of(func(c *Config) int { return c.IndexPool }), indexHead}},
	{key: "self_attn.indexer.index_kpool_compress_gate", shape: []dim{indexHead, hidden}},
}
