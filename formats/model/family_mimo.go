package model

// mimo are Xiaomi's models. V2's layers with a window have other heads than the rest
// (swa_…), and sinks; transformers takes twice the key and value heads for given. There
// is no shared expert, whatever n_shared_experts says.
var mimo = []family{
	{
		name: "mimo", types: []string{"mimo"}, classes: []string{"MiMoForCausalLM"},
		layer: []entry{{"input_proj", rule{role: MTPProjection, flags: mtpOnly}}},
		rows:  [][]row{outer, norms, gqa, dense, mimoMTP},
		fused: unknownLayout, mtpPrefix: "model.mtp_layers.",
	},
	{
		name: "mimo_v2_flash", types: []string{"mimo_v2_flash", "mimo_v2"}, classes: []string{"MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM"},
		layer: []entry{{"self_attn.attention_sink_bias", rule{role: Sink}}},
		rows:  [][]row{outer, within(not(isNextN), norms), mimo2MTP, gqa, mimoSinks, dense, experts, correction},
		fused: unknownLayout, mtpPrefix: "model.mtp.layers.",
		complete: mimoDefaults,
	},
}

var (
	mimoSinks = []row{{key: "self_attn.attention_sink_bias", shape: []dim{heads}, in: func(c *Config, l int) bool {
		if c.sliding(l) {
			return c.SlidingSinks
		}
		return c.FullSinks
	}}}
	mimo2MTP = within(isNextN, []row{
		{key: "input_layernorm.weight", shape: []dim{hidden}},
		{key: "pre_mlp_layernorm.weight", shape: []dim{hidden}},
		{key: "enorm.weight", shape: []dim{hidden}},
		{key: "hnorm.weight", shape: []dim{hidden}},
		{key: "eh_proj.weight", shape: []dim{hidden, hidden2}},
		{key: "final_layernorm.weight", shape: []dim{hidden}},
	})
	mimoMTP = within(isNextN, []row{
		{key: "input_proj.weight", shape: []dim{hidden, hidden2}},
		{key: "token_layernorm.weight", shape: []dim{hidden}},
		{key: "hidden_layernorm.weight", shape: []dim{hidden}},
		{key: "final_layernorm.weight", shape: []dim{hidden}},
	})
)
