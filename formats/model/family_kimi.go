package model

// kimi are the models with Kimi's delta attention in most layers and latent attention
// in the others: Kimi Linear, K3 and Ling 3. K2 and K2.5 are deepseek_v3.
var kimi = []family{
	{
		name: "kimi_k3", types: []string{"kimi_k3"}, classes: []string{"KimiK3ForConditionalGeneration"},
		layer: append([]entry{
			{"block_sparse_moe.routed_expert_down_proj", rule{role: ExpertLatent, part: "down"}},
			{"block_sparse_moe.routed_expert_up_proj", rule{role: ExpertLatent, part: "up"}},
			// Attention residuals: what chooses between the sums of earlier blocks.
			{"self_attention_res_proj", rule{role: HyperConnection, part: "attn_proj"}},
			{"mlp_res_proj", rule{role: HyperConnection, part: "ffn_proj"}},
		}, gateProduct...),
		root: []entry{{"output_attn_res_proj", rule{role: HyperConnection, part: "head_proj"}}},
		rows: [][]row{
			outer, norms, within(isLinear, kda), within(isLinear, k3Log), within(isLinear, kdaDecay), within(both(isLinear, not(fullGate)), kdaGate), within(both(isLinear, fullGate), k3Gate),
			within(isFull, mla), within(isFull, k3Output), kimiDense, kimiExperts, kimiCorrection, kimiShared, k3Latent, k3Residual,
		},
		fused: unknownLayout,
	},
	{
		name: "kimi_linear", types: []string{"kimi_linear"}, classes: []string{"KimiLinearForCausalLM"},
		layer: gateProduct,
		rows: [][]row{
			outer, norms, within(isLinear, kda), within(isLinear, kimiLog), within(isLinear, kdaDecay), within(isLinear, kdaGate),
			within(isFull, mla), kimiDense, kimiExperts, kimiCorrection, kimiShared,
		},
		fused: unknownLayout, complete: normalized,
	},
	{
		// Ling 3: the gate of the output is one matrix in layers of delta attention, and
		// one row a head in the others.
		name: "bailing_hybrid", types: []string{"bailing_hybrid"}, classes: []string{"BailingHybridForCausalLM"},
		layer: []entry{{"attention.dense", rule{role: Attention, part: "o"}}},
		rows: [][]row{
			renamed(outer, "embed_tokens", "word_embeddings"), norms,
			ling(within(isLinear, kda)), ling(within(isLinear, kdaLog)), ling(within(isFull, mla)), lingGates, dense, experts,
			renamed(correction, "e_score_correction_bias", "expert_bias"), shared, optional(nextn), optional(nextnFinal),
		},
		fused: unknownLayout, mtpLayers: true, complete: hybridLing,
	},
}

// gateProduct are the two matrices of the output gate of delta attention.
var gateProduct = []entry{
	{"self_attn.g_a_proj", rule{role: LinearAttentionGate, part: "g_a"}},
	{"self_attn.g_b_proj", rule{role: LinearAttentionGate, part: "g_b"}},
}

var (
	fullGate when = func(c *Config, _ int) bool { return c.LinearFullGate }

	kimiLog = []row{{key: "self_attn.A_log", shape: []dim{one, one, deltaHeads, one}}}
	// k3Log may have more than one element a head (mlx-lm's kimi_k3 cuts it).
	k3Log    = []row{{key: "self_attn.A_log", shape: []dim{fixed(0)}}}
	k3Gate   = []row{{key: "self_attn.g_proj.weight", shape: []dim{deltaV, hidden}}}
	k3Output = []row{{key: "self_attn.g_proj.weight", shape: []dim{vRows, hidden}, in: func(c *Config, _ int) bool { return c.OutputGate }}}
	k3Latent = within(isLatent, []row{
		{key: "block_sparse_moe.routed_expert_down_proj.weight", shape: []dim{width, hidden}},
		{key: "block_sparse_moe.routed_expert_up_proj.weight", shape: []dim{hidden, width}},
		{key: "block_sparse_moe.routed_expert_norm.weight", shape: []dim{width}, optional: true},
	})

	// k3Residual chooses between the sums of earlier blocks (attn_res_block_size).
	k3Residual = within(func(c *Config, _ int) bool { return c.ResidualBlock > 0 }, []row{
		{key: "self_attention_res_proj.weight", shape: []dim{one, hidden}},
		{key: "self_attention_res_norm.weight", shape: []dim{hidden}},
		{key: "mlp_res_proj.weight", shape: []dim{one, hidden}},
		{key: "mlp_res_norm.weight", shape: []dim{hidden}},
		{key: "output_attn_res_proj.weight", shape: []dim{one, hidden}, root: true},
		{key: "output_attn_res_norm.weight", shape: []dim{hidden}, root: true},
	})

	// The dense layers have the name of the others.
	kimiDense      = renamed(dense, "mlp.", "block_sparse_moe.")
	kimiExperts    = blockExperts
	kimiCorrection = renamed(correction, "mlp.", "block_sparse_moe.")
	kimiShared     = renamed(shared, "mlp.", "block_sparse_moe.")

	lingGates = []row{
		{key: "attention.f_proj.weight", shape: []dim{deltaV, hidden}, in: isLinear},
		{key: "attention.g_proj.weight", shape: []dim{deltaV, hidden}, in: isLinear},
		{key: "attention.g_proj.weight", shape: []dim{heads, hidden}, in: isFull},
	}
)

// ling gives rows Ling's names of attention.
func ling(rows []row) []row {
	return renamed(rows, "self_attn.o_proj", "attention.dense", "self_attn.", "attention.")
}
