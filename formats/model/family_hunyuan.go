package model

// hunyuan are Tencent's models.
var hunyuan = []family{
	{
		// One shared expert of the size of the others unless the config says more.
		name: "hunyuan_v1_moe", types: []string{"hunyuan_v1_moe", "hunyuan"}, classes: []string{"HunYuanMoEV1ForCausalLM", "HunYuanMoEForCausalLM"},
		rows: [][]row{
			outer, norms, gqa, renamed(headNorms, "q_norm", "query_layernorm", "k_norm", "key_layernorm"),
			renamed(experts, "mlp.gate.", "mlp.gate.wg."), renamed(shared, "shared_experts", "shared_mlp"),
		},
		fused: unknownLayout,
		complete: func(c *Config) error {
			if !c.Has("num_shared_expert") {
				c.NumSharedExperts = 1
			}
			return nil
		},
	},
	{
		name: "hy_v3", types: []string{"hy_v3"}, classes: []string{"HYV3ForCausalLM"},
		rows: [][]row{
			outer, norms, gqa, headNorms, dense, renamed(experts, "mlp.gate.", "mlp.router.gate."),
			renamed(correction, "gate.e_score_correction_bias", "expert_bias"), renamed(shared, "shared_experts", "shared_mlp"), optional(nextn), optional(nextnFinal),
		},
		fused: unknownLayout, mtpLayers: true, complete: hy3Defaults,
	},
	{
		// Latent attention with sinks, a gate of the output and shared indexers, and
		// streams of the residual that do not mix.
		name: "hy_v4", types: []string{"hy_v4"}, classes: []string{"HYV4ForCausalLM"},
		layer: []entry{
			{"@mlp.linear_gate", rule{role: DenseMLP, part: "gate", fused: "gate_up_proj"}},
			{"@mlp.shared_experts.linear_gate", rule{role: SharedExpert, part: "gate", fused: "gate_up_proj"}},
			{"self_attn.linear_gate", rule{role: Attention, part: "g"}},
			{"self_attn.learnable_sink_param", rule{role: Sink}},
			{"hc_pre.hc_attn_layer.hc_fn", rule{role: HyperConnection, part: "attn_fn"}},
			{"hc_pre.hc_attn_layer.hc_base", rule{role: HyperConnection, part: "attn_base"}},
			{"hc_pre.hc_attn_layer.hc_scale", rule{role: HyperConnection, part: "attn_scale"}},
			{"hc_pre.hc_mlp_layer.hc_fn", rule{role: HyperConnection, part: "ffn_fn"}},
			{"hc_pre.hc_mlp_layer.hc_base", rule{role: HyperConnection, part: "ffn_base"}},
			{"hc_pre.hc_mlp_layer.hc_scale", rule{role: HyperConnection, part: "ffn_scale"}},
		},
		root: []entry{
			{"hc_pre.hc_head.hc_head_fn", rule{role: HyperConnection, part: "head_fn"}},
			{"hc_pre.hc_head.hc_head_base", rule{role: HyperConnection, part: "head_base"}},
			{"hc_pre.hc_head.hc_head_scale", rule{role: HyperConnection, part: "head_scale"}},
		},
		rows: [][]row{
			outer, norms, mla, within(isIndexed, indexer), hy4, within(not(isNextN), hy4Streams), renamed(dense, "gate_proj", "linear_gate"), experts, fusedExperts, correction,
			renamed(shared, "gate_proj", "linear_gate"), optional(nextn), optional(nextnFinal),
		},
		mtpLayers: true, mtpAlso: []string{"model.mtp_layers.#."}, complete: hy4Complete,
	},
}

var (
	hy4Mixes = times(streams, two) // into and out of a block

	hy4 = []row{
		{key: "self_attn.linear_gate.weight", shape: []dim{vRows, hidden}},
		{key: "self_attn.learnable_sink_param", shape: []dim{heads}},
	}
	// hy4Streams are those of the model: layers of multi-token prediction have one stream.
	hy4Streams = []row{
		{key: "hc_pre.hc_attn_layer.hc_fn", shape: []dim{hy4Mixes, hcWidth}},
		{key: "hc_pre.hc_attn_layer.hc_base", shape: []dim{hy4Mixes}},
		{key: "hc_pre.hc_attn_layer.hc_scale", shape: []dim{two}},
		{key: "hc_pre.hc_mlp_layer.hc_fn", shape: []dim{hy4Mixes, hcWidth}},
		{key: "hc_pre.hc_mlp_layer.hc_base", shape: []dim{hy4Mixes}},
		{key: "hc_pre.hc_mlp_layer.hc_scale", shape: []dim{two}},
		{key: "hc_pre.hc_head.hc_head_fn", shape: []dim{streams, hcWidth}, root: true},
		{key: "hc_pre.hc_head.hc_head_base", shape: []dim{streams}, root: true},
		{key: "hc_pre.hc_head.hc_head_scale", shape: []dim{one}, root: true},
	}
)
