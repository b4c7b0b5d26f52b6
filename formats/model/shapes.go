package model

import "slices"

// dim computes a dimension from the config; 0 when that does not determine it.
type dim func(*Config) int

// when says which layers have a tensor.
type when func(c *Config, layer int) bool

// row is a tensor that an architecture has: its name behind the layer (or outside
// of layers), "#" for the number of an expert, and its shape.
type row struct {
	key      string
	shape    []dim
	in       when // nil: every layer
	optional bool // its absence is no lack
}

// The dimensions that shapes are made of.
var (
	hidden   dim = func(c *Config) int { return c.HiddenSize }
	hidden2  dim = func(c *Config) int { return 2 * c.HiddenSize }
	vocab    dim = func(c *Config) int { return c.VocabSize }
	inner    dim = func(c *Config) int { return c.IntermediateSize }
	inner1   dim = (*Config).ExpertSize
	inner2   dim = func(c *Config) int { return 2 * c.ExpertSize() }
	innerS   dim = (*Config).SharedSize
	nExperts dim = func(c *Config) int { return c.NumExperts }
	one      dim = func(*Config) int { return 1 }

	heads  dim = func(c *Config) int { return c.NumHeads }
	head   dim = func(c *Config) int { return c.HeadDim }
	qRows  dim = func(c *Config) int { return c.NumHeads * c.HeadDim }
	qRows2 dim = func(c *Config) int { return 2 * c.NumHeads * c.HeadDim }
	kvRows dim = func(c *Config) int { return c.NumKVHeads * c.HeadDim }

	qRank   dim = func(c *Config) int { return c.QLoraRank }
	kvRank  dim = func(c *Config) int { return c.KVLoraRank }
	kvARows dim = func(c *Config) int { return sum(c.KVLoraRank, c.QKRopeHeadDim) }
	qkRows  dim = func(c *Config) int { return c.NumHeads * sum(c.QKNopeHeadDim, c.QKRopeHeadDim) }
	kvBRows dim = func(c *Config) int { return c.NumHeads * sum(c.QKNopeHeadDim, c.VHeadDim) }
	vRows   dim = func(c *Config) int { return c.NumHeads * c.VHeadDim }

	indexQ     dim = func(c *Config) int { return c.IndexHeads * c.IndexHeadDim }
	indexHead  dim = func(c *Config) int { return c.IndexHeadDim }
	indexHeads dim = func(c *Config) int { return c.IndexHeads }

	deltaK      dim = func(c *Config) int { return c.LinearKeyHeads * c.LinearKeyHeadDim }
	deltaV      dim = func(c *Config) int { return c.LinearValueHeads * c.LinearValueHeadDim }
	deltaQKV    dim = func(c *Config) int { return sum(2*deltaK(c), deltaV(c)) }
	deltaQKVZ   dim = func(c *Config) int { return sum(2*deltaK(c), 2*deltaV(c)) }
	deltaHeads  dim = func(c *Config) int { return c.LinearValueHeads }
	deltaHeads2 dim = func(c *Config) int { return 2 * c.LinearValueHeads }
	deltaHead   dim = func(c *Config) int { return c.LinearValueHeadDim }
	deltaKernel dim = func(c *Config) int { return c.LinearConvKernel }
)

// sum adds two dimensions that are both known.
func sum(a, b int) int {
	if a == 0 || b == 0 {
		return 0
	}
	return a + b
}

// The layers that have a tensor.
var (
	isDense   when = func(c *Config, l int) bool { return !c.HasExperts(l) }
	isSparse  when = func(c *Config, l int) bool { return c.HasExperts(l) }
	hasShared when = func(c *Config, l int) bool { return c.HasExperts(l) && c.SharedSize() > 0 }
	isFull    when = func(c *Config, l int) bool { return c.LayerType(l) != "linear_attention" }
	isLinear  when = func(c *Config, l int) bool { return c.LayerType(l) == "linear_attention" }
	hasQRank  when = func(c *Config, _ int) bool { return c.QLoraRank > 0 }
	noQRank   when = func(c *Config, _ int) bool { return c.QLoraRank == 0 }
	isNextN   when = func(c *Config, l int) bool { return l >= c.NumHiddenLayers }
	untied    when = func(c *Config, _ int) bool { return !c.TieEmbeddings }
	hasMTP    when = func(c *Config, _ int) bool { return c.NumMTPLayers > 0 }
)

// The tensors of architectures, in sets that several share. Rows of outer and
// qwenMTP lie outside of layers.
var (
	outer = []row{
		{key: "embed_tokens.weight", shape: []dim{vocab, hidden}},
		{key: "norm.weight", shape: []dim{hidden}},
		{key: "lm_head.weight", shape: []dim{vocab, hidden}, in: untied},
	}
	norms = []row{
		{key: "input_layernorm.weight", shape: []dim{hidden}},
		{key: "post_attention_layernorm.weight", shape: []dim{hidden}},
	}
	gqa = []row{
		{key: "self_attn.q_proj.weight", shape: []dim{qRows, hidden}},
		{key: "self_attn.k_proj.weight", shape: []dim{kvRows, hidden}},
		{key: "self_attn.v_proj.weight", shape: []dim{kvRows, hidden}},
		{key: "self_attn.o_proj.weight", shape: []dim{hidden, qRows}},
		{key: "self_attn.q_proj.bias", shape: []dim{qRows}, optional: true},
		{key: "self_attn.k_proj.bias", shape: []dim{kvRows}, optional: true},
		{key: "self_attn.v_proj.bias", shape: []dim{kvRows}, optional: true},
	}
	// gatedGQA has a gate beside every query head.
	gatedGQA = []row{
		{key: "self_attn.q_proj.weight", shape: []dim{qRows2, hidden}, in: isFull},
		{key: "self_attn.k_proj.weight", shape: []dim{kvRows, hidden}, in: isFull},
		{key: "self_attn.v_proj.weight", shape: []dim{kvRows, hidden}, in: isFull},
		{key: "self_attn.o_proj.weight", shape: []dim{hidden, qRows}, in: isFull},
	}
	headNorms = []row{
		{key: "self_attn.q_norm.weight", shape: []dim{head}, optional: true},
		{key: "self_attn.k_norm.weight", shape: []dim{head}, optional: true},
	}
	// wideNorms run over all heads at once.
	wideNorms = []row{
		{key: "self_attn.q_norm.weight", shape: []dim{qRows}, optional: true},
		{key: "self_attn.k_norm.weight", shape: []dim{kvRows}, optional: true},
	}
	mla = []row{
		{key: "self_attn.q_proj.weight", shape: []dim{qkRows, hidden}, in: noQRank},
		{key: "self_attn.q_a_proj.weight", shape: []dim{qRank, hidden}, in: hasQRank},
		{key: "self_attn.q_a_layernorm.weight", shape: []dim{qRank}, in: hasQRank},
		{key: "self_attn.q_b_proj.weight", shape: []dim{qkRows, qRank}, in: hasQRank},
		{key: "self_attn.kv_a_proj_with_mqa.weight", shape: []dim{kvARows, hidden}},
		{key: "self_attn.kv_a_layernorm.weight", shape: []dim{kvRank}},
		{key: "self_attn.kv_b_proj.weight", shape: []dim{kvBRows, kvRank}},
		{key: "self_attn.o_proj.weight", shape: []dim{hidden, vRows}},
	}
	indexer = []row{
		{key: "self_attn.indexer.wq_b.weight", shape: []dim{indexQ, qRank}},
		{key: "self_attn.indexer.wk.weight", shape: []dim{indexHead, hidden}},
		{key: "self_attn.indexer.k_norm.weight", shape: []dim{indexHead}},
		{key: "self_attn.indexer.k_norm.bias", shape: []dim{indexHead}},
		{key: "self_attn.indexer.weights_proj.weight", shape: []dim{indexHeads, hidden}},
	}
	deltaNet = []row{
		{key: "linear_attn.conv1d.weight", shape: []dim{deltaQKV, one, deltaKernel}, in: isLinear},
		{key: "linear_attn.A_log", shape: []dim{deltaHeads}, in: isLinear},
		{key: "linear_attn.dt_bias", shape: []dim{deltaHeads}, in: isLinear},
		{key: "linear_attn.norm.weight", shape: []dim{deltaHead}, in: isLinear},
		{key: "linear_attn.out_proj.weight", shape: []dim{hidden, deltaV}, in: isLinear},
	}
	fusedDelta = []row{
		{key: "linear_attn.in_proj_qkvz.weight", shape: []dim{deltaQKVZ, hidden}, in: isLinear},
		{key: "linear_attn.in_proj_ba.weight", shape: []dim{deltaHeads2, hidden}, in: isLinear},
	}
	splitDelta = []row{
		{key: "linear_attn.in_proj_qkv.weight", shape: []dim{deltaQKV, hidden}, in: isLinear},
		{key: "linear_attn.in_proj_z.weight", shape: []dim{deltaV, hidden}, in: isLinear},
		{key: "linear_attn.in_proj_a.weight", shape: []dim{deltaHeads, hidden}, in: isLinear},
		{key: "linear_attn.in_proj_b.weight", shape: []dim{deltaHeads, hidden}, in: isLinear},
	}
	dense = []row{
		{key: "mlp.gate_proj.weight", shape: []dim{inner, hidden}, in: isDense},
		{key: "mlp.up_proj.weight", shape: []dim{inner, hidden}, in: isDense},
		{key: "mlp.down_proj.weight", shape: []dim{hidden, inner}, in: isDense},
	}
	experts = []row{
		{key: "mlp.gate.weight", shape: []dim{nExperts, hidden}, in: isSparse},
		{key: "mlp.experts.#.gate_proj.weight", shape: []dim{inner1, hidden}, in: isSparse},
		{key: "mlp.experts.#.up_proj.weight", shape: []dim{inner1, hidden}, in: isSparse},
		{key: "mlp.experts.#.down_proj.weight", shape: []dim{hidden, inner1}, in: isSparse},
	}
	fusedExperts = []row{
		{key: "mlp.experts.gate_up_proj", shape: []dim{nExperts, inner2, hidden}, optional: true},
		{key: "mlp.experts.down_proj", shape: []dim{nExperts, hidden, inner1}, optional: true},
	}
	correction = []row{
		{key: "mlp.gate.e_score_correction_bias", shape: []dim{nExperts}, in: isSparse},
	}
	shared = []row{
		{key: "mlp.shared_experts.gate_proj.weight", shape: []dim{innerS, hidden}, in: hasShared},
		{key: "mlp.shared_experts.up_proj.weight", shape: []dim{innerS, hidden}, in: hasShared},
		{key: "mlp.shared_experts.down_proj.weight", shape: []dim{hidden, innerS}, in: hasShared},
	}
	sharedOne = []row{
		{key: "mlp.shared_expert.gate_proj.weight", shape: []dim{innerS, hidden}, in: hasShared},
		{key: "mlp.shared_expert.up_proj.weight", shape: []dim{innerS, hidden}, in: hasShared},
		{key: "mlp.shared_expert.down_proj.weight", shape: []dim{hidden, innerS}, in: hasShared},
		{key: "mlp.shared_expert_gate.weight", shape: []dim{one, hidden}, in: hasShared},
	}
	blockExperts = []row{
		{key: "block_sparse_moe.gate.weight", shape: []dim{nExperts, hidden}, in: isSparse},
		{key: "block_sparse_moe.experts.#.w1.weight", shape: []dim{inner1, hidden}, in: isSparse},
		{key: "block_sparse_moe.experts.#.w2.weight", shape: []dim{hidden, inner1}, in: isSparse},
		{key: "block_sparse_moe.experts.#.w3.weight", shape: []dim{inner1, hidden}, in: isSparse},
	}
	blockCorrection = []row{
		{key: "block_sparse_moe.e_score_correction_bias", shape: []dim{nExperts}, in: isSparse},
	}
	ossAttention = []row{
		{key: "self_attn.sinks", shape: []dim{heads}},
		{key: "self_attn.o_proj.bias", shape: []dim{hidden}, optional: true},
	}
	ossExperts = []row{
		{key: "mlp.router.weight", shape: []dim{nExperts, hidden}},
		{key: "mlp.router.bias", shape: []dim{nExperts}},
		{key: "mlp.experts.gate_up_proj", shape: []dim{nExperts, hidden, inner2}},
		{key: "mlp.experts.gate_up_proj_bias", shape: []dim{nExperts, inner2}},
		{key: "mlp.experts.down_proj", shape: []dim{nExperts, inner1, hidden}},
		{key: "mlp.experts.down_proj_bias", shape: []dim{nExperts, hidden}},
	}
	// nextn are what an MTP layer has beside a decoder layer. It may share the
	// embedding and the head of the model.
	nextn = []row{
		{key: "enorm.weight", shape: []dim{hidden}, in: isNextN},
		{key: "hnorm.weight", shape: []dim{hidden}, in: isNextN},
		{key: "eh_proj.weight", shape: []dim{hidden, hidden2}, in: isNextN},
		{key: "shared_head.norm.weight", shape: []dim{hidden}, in: isNextN},
		{key: "shared_head.head.weight", shape: []dim{vocab, hidden}, in: isNextN, optional: true},
	}
	qwenMTP = []row{
		{key: "mtp.fc.weight", shape: []dim{hidden, hidden2}, in: hasMTP},
		{key: "mtp.norm.weight", shape: []dim{hidden}, in: hasMTP},
		{key: "mtp.pre_fc_norm_embedding.weight", shape: []dim{hidden}, in: hasMTP},
		{key: "mtp.pre_fc_norm_hidden.weight", shape: []dim{hidden}, in: hasMTP},
	}
)

// optional returns the rows with none of them required.
func optional(rows []row) []row {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].optional = true
	}
	return rows
}
