package model

import "slices"

// family is what is special about one architecture. The vocabulary that it shares
// with others is in vocabulary.go.
type family struct {
	name    string
	types   []string // values of model_type
	classes []string // values of architectures
	layer   []entry  // names within a layer that the vocabulary lacks or reads otherwise
	root    []entry  // names outside of layers
	rows    [][]row  // its tensors and their shapes

	fused layout
	// mtpLayers is set when layers behind the last are multi-token prediction, even
	// if the config does not say how many there are.
	mtpLayers bool
	// packsI8 is set when routed experts in I8 are FP4, two to a byte.
	packsI8 bool
}

// layout is how tensors that hold all experts of a layer are laid out.
type layout struct {
	transposed, interleaved bool
	why                     string // why they are kept; "" when they are divided and quantized
}

// unknownLayout keeps fused experts: two layouts are in use, and where hidden and
// expert size agree nothing in the file tells them apart.
var unknownLayout = layout{why: "experts fused into one tensor are divided only for qwen3_5_moe"}

// generic serves architectures that the table lacks, and files without a config.
var generic = family{name: "unknown", fused: unknownLayout}

// families is the table of architectures.
var families = []family{
	{
		name: "deepseek_v2", types: []string{"deepseek_v2", "deepseek"}, classes: []string{"DeepseekV2ForCausalLM", "DeepseekForCausalLM"},
		rows: [][]row{outer, norms, mla, dense, experts, shared}, fused: unknownLayout, mtpLayers: true,
	},
	{
		name:    "deepseek_v3",
		types:   []string{"deepseek_v3", "kimi_k2", "kimi_k25"},
		classes: []string{"DeepseekV3ForCausalLM", "KimiK25ForConditionalGeneration"},
		rows:    [][]row{outer, norms, mla, dense, experts, correction, shared, nextn}, fused: unknownLayout, mtpLayers: true,
	},
	{
		name: "deepseek_v32", types: []string{"deepseek_v32"}, classes: []string{"DeepseekV32ForCausalLM"},
		rows: [][]row{outer, norms, mla, indexer, dense, experts, correction, shared, nextn}, fused: unknownLayout, mtpLayers: true,
	},
	{
		name: "deepseek_v4", types: []string{"deepseek_v4"}, classes: []string{"DeepseekV4ForCausalLM"},
		layer: v4Layer, root: v4Root, fused: unknownLayout, packsI8: true,
	},
	{
		name: "glm4_moe", types: []string{"glm4_moe"}, classes: []string{"Glm4MoeForCausalLM"},
		rows: [][]row{outer, norms, gqa, headNorms, dense, experts, correction, shared, nextn}, fused: unknownLayout, mtpLayers: true,
	},
	{
		name: "glm4_moe_lite", types: []string{"glm4_moe_lite"}, classes: []string{"Glm4MoeLiteForCausalLM"},
		rows: [][]row{outer, norms, mla, dense, experts, correction, shared, nextn}, fused: unknownLayout, mtpLayers: true,
	},
	{
		name: "glm_moe_dsa", types: []string{"glm_moe_dsa"}, classes: []string{"GlmMoeDsaForCausalLM"},
		rows: [][]row{outer, norms, mla, optional(indexer), dense, experts, correction, shared, nextn}, fused: unknownLayout, mtpLayers: true,
	},
	{
		name: "qwen2_moe", types: []string{"qwen2_moe"}, classes: []string{"Qwen2MoeForCausalLM"},
		rows: [][]row{outer, norms, gqa, dense, experts, sharedOne}, fused: unknownLayout,
	},
	{
		name: "qwen3_moe", types: []string{"qwen3_moe"}, classes: []string{"Qwen3MoeForCausalLM"},
		rows: [][]row{outer, norms, gqa, headNorms, dense, experts}, fused: unknownLayout,
	},
	{
		name: "qwen3_next", types: []string{"qwen3_next"}, classes: []string{"Qwen3NextForCausalLM"},
		rows:  [][]row{outer, norms, gatedGQA, headNorms, deltaNet, fusedDelta, dense, experts, sharedOne, qwenMTP},
		fused: unknownLayout,
	},
	{
		name:    "qwen3_5_moe",
		types:   []string{"qwen3_5_moe", "qwen3_5_moe_text"},
		classes: []string{"Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeForCausalLM"},
		rows:    [][]row{outer, norms, gatedGQA, headNorms, deltaNet, splitDelta, dense, experts, fusedExperts, sharedOne, qwenMTP},
	},
	{
		name:    "qwen3_5",
		types:   []string{"qwen3_5", "qwen3_5_text"},
		classes: []string{"Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"},
		rows:    [][]row{outer, norms, gatedGQA, headNorms, deltaNet, splitDelta, dense, qwenMTP}, fused: unknownLayout,
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
		name: "llama", types: []string{"llama"}, classes: []string{"LlamaForCausalLM"},
		rows: [][]row{outer, norms, gqa, dense}, fused: unknownLayout,
	},
	{
		name: "mistral", types: []string{"mistral"}, classes: []string{"MistralForCausalLM"},
		rows: [][]row{outer, norms, gqa, dense}, fused: unknownLayout,
	},
	{
		name: "mixtral", types: []string{"mixtral"}, classes: []string{"MixtralForCausalLM"},
		rows: [][]row{outer, norms, gqa, blockExperts}, fused: unknownLayout,
	},
	{
		name: "minimax_m2", types: []string{"minimax_m2"}, classes: []string{"MiniMaxM2ForCausalLM"},
		rows: [][]row{outer, norms, gqa, wideNorms, blockExperts, blockCorrection}, fused: unknownLayout,
	},
	{
		name: "gpt_oss", types: []string{"gpt_oss"}, classes: []string{"GptOssForCausalLM"},
		rows: [][]row{outer, norms, gqa, ossAttention, ossExperts},
		fused: layout{
			transposed: true, interleaved: true,
			why: "no engine reads block FP8 in the fused experts of gpt_oss",
		},
	},
}

// v4Layer are the names of DeepSeek's own code, which V4 is published with.
var v4Layer = []entry{
	// Engines fuse the two projections of the hidden state (vLLM deepseek_v4).
	{"attn.wq_a", rule{role: Attention, part: "q_a", fused: "fused_wqa_wkv"}},
	{"attn.wq_b", rule{role: Attention, part: "q_b"}},
	{"attn.wkv", rule{role: Attention, part: "kv", fused: "fused_wqa_wkv"}},
	{"attn.wo_a", rule{role: Attention, part: "o_a"}},
	{"attn.wo_b", rule{role: Attention, part: "o_b"}},
	{"attn.attn_sink", rule{role: Sink}},
	{"attn.compressor.ape", rule{role: Compressor, part: "ape"}},
	{"attn.compressor.wkv", rule{role: Compressor, part: "kv"}},
	{"attn.compressor.wgate", rule{role: Compressor, part: "gate"}},
	{"attn.indexer.compressor.ape", rule{role: Compressor, part: "ape"}},
	{"attn.indexer.compressor.wkv", rule{role: Compressor, part: "kv"}},
	{"attn.indexer.compressor.wgate", rule{role: Compressor, part: "gate"}},
	{"ffn.gate.tid2eid", rule{role: Router, part: "tid2eid", flags: noWeight}},
	{"hc_attn_fn", rule{role: HyperConnection}},
	{"hc_attn_base", rule{role: HyperConnection}},
	{"hc_attn_scale", rule{role: HyperConnection}},
	{"hc_ffn_fn", rule{role: HyperConnection}},
	{"hc_ffn_base", rule{role: HyperConnection}},
	{"hc_ffn_scale", rule{role: HyperConnection}},
	{"hc_head_fn", rule{role: HyperConnection, flags: mtpOnly}},
	{"hc_head_base", rule{role: HyperConnection, flags: mtpOnly}},
	{"hc_head_scale", rule{role: HyperConnection, flags: mtpOnly}},
	{"head", rule{role: MTPHead, flags: mtpOnly}},
	{"emb.tok_emb", rule{role: Embedding, flags: mtpOnly}},
}

var v4Root = []entry{
	{"embed", rule{role: Embedding}},
	{"head", rule{role: Head}},
	{"hc_head_fn", rule{role: HyperConnection}},
	{"hc_head_base", rule{role: HyperConnection}},
	{"hc_head_scale", rule{role: HyperConnection}},
}

// findFamily returns the row of a config, or generic.
func findFamily(c *Config) *family {
	for _, t := range []string{c.ModelType, c.Wrapper} {
		for i := range families {
			if t != "" && slices.Contains(families[i].types, t) {
				return &families[i]
			}
		}
	}
	for _, class := range c.Architectures {
		for i := range families {
			if slices.Contains(families[i].classes, class) {
				return &families[i]
			}
		}
	}
	return &generic
}
