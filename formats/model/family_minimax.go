package model

import "slices"

// minimax are MiniMax's models.
var minimax = []family{
	{
		name: "minimax_m2", types: []string{"minimax_m2"}, classes: []string{"MiniMaxM2ForCausalLM"},
		rows: [][]row{outer, norms, gqa, wideNorms, blockExperts, blockCorrection}, fused: unknownLayout,
	},
	{
		// Released with block_sparse_moe and an expert to a tensor; transformers 5 saves
		// mlp, and gate and up in one. Layers of sparse attention have an indexer.
		name:    "minimax_m3",
		types:   []string{"minimax_m3", "minimax_m3_vl", "minimax_m3_vl_text"},
		classes: []string{"MiniMaxM3ForCausalLM", "MiniMaxM3SparseForCausalLM", "MiniMaxM3SparseForConditionalGeneration", "MiniMaxM3VLForCausalLM", "MiniMaxM3VLForConditionalGeneration"},
		layer: []entry{
			{"self_attn.index_q_proj", rule{role: Indexer, part: "q"}},
			{"self_attn.index_k_proj", rule{role: Indexer, part: "k"}},
			{"self_attn.index_q_norm", rule{role: Norm, part: "indexer.q_norm"}},
			{"self_attn.index_k_norm", rule{role: Norm, part: "indexer.k_norm"}},
			{"self_attn.indexer.q_proj", rule{role: Indexer, part: "q"}}, // transformers
			{"self_attn.indexer.k_proj", rule{role: Indexer, part: "k"}},
			{"self_attn.indexer.q_norm", rule{role: Norm, part: "indexer.q_norm"}},
			{"self_attn.indexer.k_norm", rule{role: Norm, part: "indexer.k_norm"}},
			{"@mlp.shared_experts.gate_up_proj", rule{role: SharedExpert, part: "gate_up"}},
		},
		rows: [][]row{
			outer, norms, gqa, headNorms, within(m3Sparse, m3Indexer), dense, optional(m3Dense),
			blockExperts, fusedExperts, optional(blockCorrection), optional(correction), shared, optional(m3Shared), m3MTP,
		},
		mtpPrefix: "model.mtp.layers.", mtpAlso: []string{
			"model.mtp.layers.#.transformer_layer.", "language_model.model.mtp.layers.#.", "language_model.model.mtp.layers.#.transformer_layer.",
		},
		complete: m3Complete,
	},
}

var (
	m3Sparse when = func(c *Config, l int) bool { return c.LayerType(l) == "minimax_m3_sparse" }

	m3Indexer = []row{
		{key: "self_attn.index_q_proj.weight", also: "self_attn.indexer.q_proj.weight", shape: []dim{indexQ, hidden}},
		{key: "self_attn.index_k_proj.weight", also: "self_attn.indexer.k_proj.weight", shape: []dim{indexHead, hidden}},
		{key: "self_attn.index_q_norm.weight", also: "self_attn.indexer.q_norm.weight", shape: []dim{indexHead}},
		{key: "self_attn.index_k_norm.weight", also: "self_attn.indexer.k_norm.weight", shape: []dim{indexHead}},
	}
	m3MTP = within(isNextN, []row{
		{key: "enorm.weight", shape: []dim{hidden}},
		{key: "hnorm.weight", shape: []dim{hidden}},
		{key: "eh_proj.weight", shape: []dim{hidden, hidden2}},
		{key: "final_layernorm.weight", shape: []dim{hidden}},
	})
	m3Dense  = []row{{key: "mlp.gate_up_proj.weight", shape: []dim{times(two, inner), hidden}, in: isDense}}
	m3Shared = []row{{key: "mlp.shared_experts.gate_up_proj.weight", shape: []dim{innerS2, hidden}, in: hasShared}}
)

// m3Complete fills in what the configuration file of transformers has as defaults. Its
// code takes no notice of rotary_dim.
func m3Complete(c *Config) error {
	c.RotaryDim = 0
	c.MTPLayerType = "minimax_m3_sparse"
	for _, d := range []struct {
		keys []string
		dst  *int
		n    int
	}{
		{[]string{"index_n_heads", "sparse_num_index_heads"}, &c.IndexHeads, 4},
		{[]string{"index_head_dim", "sparse_index_dim"}, &c.IndexHeadDim, 128},
		{[]string{"index_block_size", "sparse_block_size"}, &c.IndexBlock, 128},
		{[]string{"index_topk_blocks", "sparse_topk_blocks"}, &c.IndexBlocks, 16},
		{[]string{"index_local_blocks", "sparse_local_block"}, &c.IndexLocalBlocks, 1},
	} {
		if !slices.ContainsFunc(d.keys, c.Has) {
			*d.dst = d.n
		}
	}
	for _, d := range []struct {
		key string
		dst *float64
		x   float64
	}{{"swiglu_alpha", &c.SwigluAlpha, 1.702}, {"swiglu_limit", &c.SwigluLimit, 7}, {"routed_scaling_factor", &c.RoutedScalingFactor, 2}} {
		if !c.Has(d.key) {
			*d.dst = d.x
		}
	}
	return nil
}
