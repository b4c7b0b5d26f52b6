package model

// qwen are Alibaba's models up to 3.8; qwen4 has a file of its own.
var qwen = []family{
	{
		name: "qwen2_moe", types: []string{"qwen2_moe"}, classes: []string{"Qwen2MoeForCausalLM"},
		rows: [][]row{outer, norms, gqa, dense, experts, sharedOne}, fused: unknownLayout,
	},
	{
		name: "qwen3_moe", types: []string{"qwen3_moe"}, classes: []string{"Qwen3MoeForCausalLM"},
		rows: [][]row{outer, norms, gqa, headNorms, dense, experts}, fused: unknownLayout,
	},
	{
		// Released with [experts, in, out]; saved by transformers 5 also as [experts, out, in].
		name: "qwen3_vl_moe", types: []string{"qwen3_vl_moe", "qwen3_vl_moe_text"}, classes: []string{"Qwen3VLMoeForConditionalGeneration"},
		rows:  [][]row{outer, norms, gqa, headNorms, dense, experts, fusedExperts, transposedExperts},
		fused: layout{transposed: true, either: true},
	},
	{
		name: "qwen3_next", types: []string{"qwen3_next"}, classes: []string{"Qwen3NextForCausalLM"},
		rows:  [][]row{outer, norms, gatedGQA, headNorms, deltaNet, fusedDelta, dense, experts, sharedOne, qwenMTP},
		fused: unknownLayout, mtpPrefix: "mtp.layers.", complete: hybridQwen,
	},
	{
		name:      "qwen3_5_moe",
		types:     []string{"qwen3_5_moe", "qwen3_5_moe_text"},
		classes:   []string{"Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeForCausalLM"},
		rows:      [][]row{outer, norms, gatedGQA, headNorms, deltaNet, splitDelta, dense, experts, fusedExperts, sharedOne, qwenMTP},
		mtpPrefix: "mtp.layers.", complete: hybridQwen,
	},
	{
		name:    "qwen3_5",
		types:   []string{"qwen3_5", "qwen3_5_text"},
		classes: []string{"Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"},
		rows:    [][]row{outer, norms, gatedGQA, headNorms, deltaNet, splitDelta, dense, qwenMTP}, fused: unknownLayout, mtpPrefix: "mtp.layers.",
	},
	{
		name: "qwen2", types: []string{"qwen2"}, classes: []string{"Qwen2ForCausalLM"},
		rows: [][]row{outer, norms, gqa, dense}, fused: unknownLayout,
	},
	{
		name: "qwen3", types: []string{"qwen3"}, classes: []string{"Qwen3ForCausalLM"},
		rows: [][]row{outer, norms, gqa, headNorms, dense}, fused: unknownLayout,
	},
	{
		name: "qwen3_vl", types: []string{"qwen3_vl", "qwen3_vl_text"}, classes: []string{"Qwen3VLForConditionalGeneration"},
		rows: [][]row{outer, norms, gqa, headNorms, dense}, fused: unknownLayout,
	},
}
