package model

import "slices"

// longcat is LongCat-Flash: two latent attentions and two dense MLPs a layer, and one
// set of experts beside them, some of whose choices have no weights.
var longcat = []family{{
	name: "longcat_flash", types: []string{"longcat_flash"}, classes: []string{"LongcatFlashForCausalLM"},
	layer: []entry{
		{"self_attn.#.q_proj", rule{role: Attention, part: "q", flags: piece}},
		{"self_attn.#.q_a_proj", rule{Attention, "q_a", "fused_qkv_a_proj", piece}},
		{"self_attn.#.kv_a_proj_with_mqa", rule{Attention, "kv_a", "fused_qkv_a_proj", piece}},
		{"self_attn.#.q_b_proj", rule{role: Attention, part: "q_b", flags: piece}},
		{"self_attn.#.kv_b_proj", rule{role: Attention, part: "kv_b", flags: piece}},
		{"self_attn.#.o_proj", rule{role: Attention, part: "o", flags: piece}},
		{"self_attn.#.q_a_layernorm", rule{role: Norm, part: "q_a_layernorm", flags: piece}},
		{"self_attn.#.kv_a_layernorm", rule{role: Norm, part: "kv_a_layernorm", flags: piece}},
		{"input_layernorm.#", rule{role: Norm, part: "input_layernorm", flags: piece}},
		{"post_attention_layernorm.#", rule{role: Norm, part: "post_attention_layernorm", flags: piece}},
		{"mlps.#.gate_proj", rule{DenseMLP, "gate", "gate_up_proj", piece}},
		{"mlps.#.up_proj", rule{DenseMLP, "up", "gate_up_proj", piece}},
		{"mlps.#.down_proj", rule{role: DenseMLP, part: "down", flags: piece}},
		{"enorm.m", rule{role: Norm, part: "enorm", flags: mtpOnly}},
		{"hnorm.m", rule{role: Norm, part: "hnorm", flags: mtpOnly}},
		{"mlp.router.classifier", rule{role: Router, flags: byExpert}},
	},
	rows: [][]row{
		outer, twice(renamed(norms, "layernorm", "layernorm.#")), twice(renamed(mla, "self_attn.", "self_attn.#.")),
		twice([]row{
			{key: "mlps.#.gate_proj.weight", shape: []dim{inner, hidden}},
			{key: "mlps.#.up_proj.weight", shape: []dim{inner, hidden}},
			{key: "mlps.#.down_proj.weight", shape: []dim{hidden, inner}},
		}),
		renamed(experts, "mlp.gate.", "mlp.router.classifier."),
		{{key: "mlp.router.e_score_correction_bias", shape: []dim{choices}}},
		longcatMTP,
	},
	fused: unknownLayout, complete: doubled,
}}

// longcatMTP is a layer of multi-token prediction: one attention and one dense block.
var longcatMTP = optional(within(isNextN, slices.Concat(norms, mla, dense, []row{
	{key: "eh_proj.weight", shape: []dim{hidden, hidden2}},
	{key: "enorm.m.weight", shape: []dim{hidden}},
	{key: "hnorm.m.weight", shape: []dim{hidden}},
})))

// twice returns rows whose "#" counts the two halves of a layer.
func twice(rows []row) []row {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].count = two
	}
	return rows
}
