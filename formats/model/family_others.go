package model

// ernieMTP is what multi-token prediction of ERNIE has beside a layer.
var ernieMTP = within(isNextN, []row{
	{key: "mtp_emb_norm.weight", shape: []dim{hidden}},
	{key: "mtp_hidden_norm.weight", shape: []dim{hidden}},
	{key: "mtp_linear_proj.weight", shape: []dim{hidden, hidden2}},
})

// others are single models of several vendors.
var others = []family{
	{
		name: "gpt_oss", types: []string{"gpt_oss"}, classes: []string{"GptOssForCausalLM"},
		rows: [][]row{outer, norms, gqa, ossAttention, ossExperts},
		fused: layout{
			transposed: true, interleaved: true, whole: true,
			why: "no engine reads block FP8 in the fused experts of gpt_oss",
		},
	},
	{
		// Arcee: a gate of the output, and norms around both blocks.
		name: "afmoe", types: []string{"afmoe"}, classes: []string{"AfmoeForCausalLM"},
		rows: [][]row{
			outer, norms, sandwich, gqa, headNorms, attentionGate, dense, renamed(experts, "mlp.gate.", "mlp.router.gate."),
			renamed(correction, "gate.e_score_correction_bias", "expert_bias"), shared,
		},
		fused: unknownLayout, complete: afmoeDefaults,
	},
	{
		// Cohere: one norm for both blocks of a layer, which work side by side.
		name: "cohere2_moe", types: []string{"cohere2_moe"}, classes: []string{"Cohere2MoeForCausalLM"},
		rows: [][]row{outer, norms[:1], gqa, dense, experts, shared}, fused: unknownLayout, complete: cohereDefaults,
	},
	{
		name: "dots1", types: []string{"dots1"}, classes: []string{"Dots1ForCausalLM"},
		rows: [][]row{outer, norms, gqa, headNorms, dense, experts, correction, shared}, fused: unknownLayout, complete: dots1Defaults,
	},
	{
		name: "ernie4_5_moe", types: []string{"ernie4_5_moe"}, classes: []string{"Ernie4_5_MoeForCausalLM", "Ernie4_5_MoEForCausalLM"},
		rows: [][]row{
			outer, norms, gqa, dense, experts, shared,
			{{key: "mlp.moe_statics.e_score_correction_bias", shape: []dim{one, nExperts}, in: isSparse}},
			optional(ernieMTP),
		},
		fused: unknownLayout, complete: ernieDefaults,
	},
	{
		name: "exaone_moe", types: []string{"exaone_moe"}, classes: []string{"ExaoneMoeForCausalLM", "ExaoneMoEForCausalLM"},
		rows: [][]row{
			outer, norms, gqa, headNorms, dense, experts, shared,
			renamed(correction, "gate.e_score_correction_bias", "e_score_correction_bias"), optional(qwenMTP),
		},
		fused: unknownLayout, complete: exaoneDefaults,
	},
	{
		// IBM: experts of a layer in two tensors, [experts, out, in], gate before up.
		name: "granitemoe", types: []string{"granitemoe"}, classes: []string{"GraniteMoeForCausalLM"},
		layer: []entry{
			{"block_sparse_moe.input_linear", rule{RoutedExpert, "gate_up", "", fused3D | byExpert}},
			{"block_sparse_moe.output_linear", rule{RoutedExpert, "down", "", fused3D | byExpert}},
			{"block_sparse_moe.router.layer", rule{role: Router, flags: byExpert}},
		},
		rows: [][]row{outer, norms, gqa, {
			{key: "block_sparse_moe.router.layer.weight", shape: []dim{nExperts, hidden}},
			{key: "block_sparse_moe.input_linear.weight", shape: []dim{nExperts, inner2, hidden}},
			{key: "block_sparse_moe.output_linear.weight", shape: []dim{nExperts, hidden, inner1}},
		}},
		fused: layout{why: "no engine reads the experts of granitemoe one by one"},
	},
	{
		// Poolside: heads by layer, a gate of the output by head (gating).
		name: "laguna", types: []string{"laguna"}, classes: []string{"LagunaForCausalLM"},
		layer: []entry{{"mlp.experts.e_score_correction_bias", rule{role: RouterBias, flags: byExpert}}},
		rows: [][]row{
			outer, norms, gqa, headNorms, dense, experts, sharedOne[:3],
			{
				{key: "self_attn.g_proj.weight", shape: []dim{lagunaGate, hidden}},
				{key: "mlp.experts.e_score_correction_bias", shape: []dim{nExperts}, in: isSparse},
			},
		},
		fused: unknownLayout, complete: lagunaDefaults,
	},
	{
		name: "olmoe", types: []string{"olmoe"}, classes: []string{"OlmoeForCausalLM"},
		rows: [][]row{outer, norms, gqa, wideNorms, experts}, fused: unknownLayout,
	},
	{
		// Microsoft: norms, attention and the head have biases.
		name: "phimoe", types: []string{"phimoe"}, classes: []string{"PhimoeForCausalLM", "PhiMoEForCausalLM"},
		rows: [][]row{outer, norms, gqa, blockExperts, {
			{key: "input_layernorm.bias", shape: []dim{hidden}},
			{key: "post_attention_layernorm.bias", shape: []dim{hidden}},
			{key: "self_attn.o_proj.bias", shape: []dim{hidden}, optional: true},
			{key: "norm.bias", shape: []dim{hidden}, root: true},
			{key: "lm_head.bias", shape: []dim{vocab}, root: true, optional: true},
		}},
		fused: unknownLayout,
	},
	{
		// Upstage: all layers have experts, whatever first_k_dense_replace says.
		name: "solar_open", types: []string{"solar_open"}, classes: []string{"SolarOpenForCausalLM"},
		rows: [][]row{outer, norms, gqa, experts, correction, shared}, fused: unknownLayout,
		complete: func(c *Config) error {
			c.FirstKDense = 0
			return normalized(c)
		},
	},
	{
		// StepFun: experts in three tensors, moe.{gate,up,down}_proj [experts, out, in].
		name: "step3p7", types: []string{"step3p7", "step3p5"}, classes: []string{"Step3p7FlashForCausalLM", "Step3p7ForConditionalGeneration", "Step3p5ForCausalLM"},
		rows:  [][]row{outer, norms, gqa, headNorms, optional(attentionGateByHead), dense, stepExperts},
		fused: layout{why: "no engine reads the experts of step3p7 one by one"}, mtpLayers: true,
	},
}

var (
	// sandwich are norms around the second block of a layer.
	sandwich = []row{
		{key: "pre_mlp_layernorm.weight", shape: []dim{hidden}},
		{key: "post_mlp_layernorm.weight", shape: []dim{hidden}},
	}
	attentionGateByHead = []row{{key: "self_attn.g_proj.weight", shape: []dim{heads, hidden}}}

	// lagunaGate is a row a head, or as wide as the output where gating is
	// "per-element".
	lagunaGate dim = func(c *Config, l int) int {
		if c.Gating != "" && c.Gating != "per-head" {
			return qRows(c, l)
		}
		return heads(c, l)
	}

	stepExperts = []row{
		{key: "moe.gate.weight", shape: []dim{nExperts, hidden}, in: isSparse},
		{key: "moe.router_bias", shape: []dim{nExperts}, in: isSparse, optional: true},
		{key: "moe.gate_proj.weight", shape: []dim{nExperts, inner1, hidden}, in: isSparse},
		{key: "moe.up_proj.weight", shape: []dim{nExperts, inner1, hidden}, in: isSparse},
		{key: "moe.down_proj.weight", shape: []dim{nExperts, hidden, inner1}, in: isSparse},
		{key: "share_expert.gate_proj.weight", shape: []dim{innerS, hidden}, in: hasShared},
		{key: "share_expert.up_proj.weight", shape: []dim{innerS, hidden}, in: hasShared},
		{key: "share_expert.down_proj.weight", shape: []dim{hidden, innerS}, in: hasShared},
	}
)
