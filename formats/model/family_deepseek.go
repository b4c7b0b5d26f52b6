package model

// deepseek are DeepSeek's models, and those that took over V3's graph.
var deepseek = []family{
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
		rows: [][]row{outer, norms, mla, indexer, dense, experts, fusedExperts, correction, shared, nextn}, mtpLayers: true, complete: indexed(64),
	},
	{
		name: "deepseek_v4", types: []string{"deepseek_v4"}, classes: []string{"DeepseekV4ForCausalLM"},
		layer: append(v4Layer, streamNames...), root: v4Root, rows: [][]row{v4Outer, v4Attention, v4Compressor, v4Experts, streamed, v4MTP},
		fused: unknownLayout, mtpPrefix: "mtp.", packsI8: true, complete: v4Complete,
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
	{"attn.indexer.compressor.ape", rule{role: Compressor, part: "indexer.ape"}},
	{"attn.indexer.compressor.wkv", rule{role: Compressor, part: "indexer.kv"}},
	{"attn.indexer.compressor.wgate", rule{role: Compressor, part: "indexer.gate"}},
	{"attn.compressor.norm", rule{role: Norm, part: "compressor.norm"}},
	{"attn.indexer.compressor.norm", rule{role: Norm, part: "indexer.compressor.norm"}},
	{"attn.norm", rule{role: Norm, part: "kv_norm"}}, // as transformers 5 saves it
	{"ffn.gate.tid2eid", rule{role: Router, part: "tid2eid", flags: noWeight}},
	{"hc_head_fn", rule{role: HyperConnection, part: "head_fn", flags: mtpOnly}},
	{"hc_head_base", rule{role: HyperConnection, part: "head_base", flags: mtpOnly}},
	{"hc_head_scale", rule{role: HyperConnection, part: "head_scale", flags: mtpOnly}},
	{"head", rule{role: MTPHead, flags: mtpOnly}},
	{"emb.tok_emb", rule{role: Embedding, flags: mtpOnly}},
}

// streamNames are the maps of V4 and of GLM-5.3.
var streamNames = []entry{
	{"hc_attn_fn", rule{role: HyperConnection, part: "attn_fn"}},
	{"hc_attn_base", rule{role: HyperConnection, part: "attn_base"}},
	{"hc_attn_scale", rule{role: HyperConnection, part: "attn_scale"}},
	{"hc_ffn_fn", rule{role: HyperConnection, part: "ffn_fn"}},
	{"hc_ffn_base", rule{role: HyperConnection, part: "ffn_base"}},
	{"hc_ffn_scale", rule{role: HyperConnection, part: "ffn_scale"}},
}

var v4Root = []entry{
	{"hc_head.hc_fn", rule{role: HyperConnection, part: "head_fn"}}, // as transformers 5 saves them
	{"hc_head.hc_base", rule{role: HyperConnection, part: "head_base"}},
	{"hc_head.hc_scale", rule{role: HyperConnection, part: "head_scale"}},
	{"embed", rule{role: Embedding}},
	{"head", rule{role: Head}},
	{"hc_head_fn", rule{role: HyperConnection, part: "head_fn"}},
	{"hc_head_base", rule{role: HyperConnection, part: "head_base"}},
	{"hc_head_scale", rule{role: HyperConnection, part: "head_scale"}},
}

// The tensors of V4 (models.md §2.5). A layer that compresses few tokens has two
// series of keys that overlap, and an indexer with a compressor of its own.
var (
	v4Ratio  dim = (*Config).CompressRatio
	v4Series dim = func(c *Config, l int) int {
		if c.Overlaps(l) {
			return 2
		}
		return 1
	}
	v4Width      = times(v4Series, head)
	v4IWidth     = times(two, indexHead)
	v4OLora      = of(func(c *Config) int { return c.OGroups * c.OLoraRank })
	v4OCols  dim = func(c *Config, l int) int {
		if c.OGroups == 0 {
			return 0
		}
		return qRows(c, l) / c.OGroups
	}

	v4Compresses when = func(c *Config, l int) bool { return c.CompressRatio(l) > 0 }
	v4Indexes    when = (*Config).Overlaps
	v4Hashes     when = (*Config).Hashes

	v4Outer = []row{
		{key: "embed.weight", also: "embed_tokens.weight", shape: []dim{vocab, hidden}, root: true},
		{key: "norm.weight", shape: []dim{hidden}, root: true},
		{key: "head.weight", shape: []dim{vocab, hidden}, root: true},
		{key: "hc_head_fn", also: "hc_head.hc_fn", shape: []dim{streams, hcWidth}, root: true},
		{key: "hc_head_base", also: "hc_head.hc_base", shape: []dim{streams}, root: true},
		{key: "hc_head_scale", also: "hc_head.hc_scale", shape: []dim{one}, root: true},
	}
	v4Attention = []row{
		{key: "attn_norm.weight", shape: []dim{hidden}},
		{key: "ffn_norm.weight", shape: []dim{hidden}},
		{key: "attn.wq_a.weight", shape: []dim{qRank, hidden}},
		{key: "attn.q_norm.weight", shape: []dim{qRank}},
		{key: "attn.wq_b.weight", shape: []dim{qRows, qRank}},
		{key: "attn.wkv.weight", shape: []dim{head, hidden}},
		{key: "attn.kv_norm.weight", also: "attn.norm.weight", shape: []dim{head}},
		{key: "attn.wo_a.weight", shape: []dim{v4OLora, v4OCols}},
		{key: "attn.wo_b.weight", shape: []dim{hidden, v4OLora}},
		{key: "attn.attn_sink", shape: []dim{heads}},
	}
	v4Compressor = []row{
		{key: "attn.compressor.ape", shape: []dim{v4Ratio, v4Width}, in: v4Compresses},
		{key: "attn.compressor.wkv.weight", shape: []dim{v4Width, hidden}, in: v4Compresses},
		{key: "attn.compressor.wgate.weight", shape: []dim{v4Width, hidden}, in: v4Compresses},
		{key: "attn.compressor.norm.weight", shape: []dim{head}, in: v4Compresses},
		{key: "attn.indexer.wq_b.weight", shape: []dim{indexQ, qRank}, in: v4Indexes},
		{key: "attn.indexer.weights_proj.weight", shape: []dim{indexHeads, hidden}, in: v4Indexes},
		{key: "attn.indexer.compressor.ape", shape: []dim{v4Ratio, v4IWidth}, in: v4Indexes},
		{key: "attn.indexer.compressor.wkv.weight", shape: []dim{v4IWidth, hidden}, in: v4Indexes},
		{key: "attn.indexer.compressor.wgate.weight", shape: []dim{v4IWidth, hidden}, in: v4Indexes},
		{key: "attn.indexer.compressor.norm.weight", shape: []dim{indexHead}, in: v4Indexes},
	}
	v4Experts = []row{
		{key: "ffn.gate.weight", shape: []dim{nExperts, hidden}},
		{key: "ffn.gate.bias", shape: []dim{nExperts}, in: not(v4Hashes)},
		{key: "ffn.gate.tid2eid", shape: []dim{vocab, chosen}, in: v4Hashes},
		{key: "ffn.experts.#.w1.weight", shape: []dim{inner1, hidden}},
		{key: "ffn.experts.#.w2.weight", shape: []dim{hidden, inner1}},
		{key: "ffn.experts.#.w3.weight", shape: []dim{inner1, hidden}},
		{key: "ffn.shared_experts.w1.weight", shape: []dim{innerS, hidden}, in: hasShared},
		{key: "ffn.shared_experts.w2.weight", shape: []dim{hidden, innerS}, in: hasShared},
		{key: "ffn.shared_experts.w3.weight", shape: []dim{innerS, hidden}, in: hasShared},
	}
	v4MTP = within(isNextN, []row{
		{key: "e_proj.weight", shape: []dim{hidden, hidden}},
		{key: "h_proj.weight", shape: []dim{hidden, hidden}},
		{key: "enorm.weight", shape: []dim{hidden}},
		{key: "hnorm.weight", shape: []dim{hidden}},
		{key: "norm.weight", shape: []dim{hidden}},
		{key: "hc_head_fn", shape: []dim{streams, hcWidth}},
		{key: "hc_head_base", shape: []dim{streams}},
		{key: "hc_head_scale", shape: []dim{one}},
		{key: "emb.tok_emb.weight", shape: []dim{vocab, hidden}, optional: true},
		{key: "head.weight", shape: []dim{vocab, hidden}, optional: true},
	})
)
