package model

import (
	"slices"
	"strings"
)

// The tensors of architectures, in sets that several share.
var (
	outer = []row{
		{key: "embed_tokens.weight", shape: []dim{vocab, hidden}, root: true},
		{key: "norm.weight", shape: []dim{hidden}, root: true},
		{key: "lm_head.weight", shape: []dim{vocab, hidden}, in: untied, root: true},
	}
	norms = []row{
		{key: "input_layernorm.weight", shape: []dim{hidden}},
		{key: "post_attention_layernorm.weight", shape: []dim{hidden}},
	}
	gqa = []row{
		{key: "self_attn.q_proj.weight", shape: []dim{qRows, hidden}},
		{key: "self_attn.k_proj.weight", shape: []dim{kvRows, hidden}},
		{key: "self_attn.v_proj.weight", shape: []dim{vhRows, hidden}},
		{key: "self_attn.o_proj.weight", shape: []dim{hidden, oCols}},
		{key: "self_attn.q_proj.bias", shape: []dim{qRows}, optional: true},
		{key: "self_attn.k_proj.bias", shape: []dim{kvRows}, optional: true},
		{key: "self_attn.v_proj.bias", shape: []dim{vhRows}, optional: true},
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
		{key: "mlp.gate.weight", shape: []dim{choices, hidden}, in: isSparse},
		{key: "mlp.experts.#.gate_proj.weight", shape: []dim{inner1, width}, in: isSparse},
		{key: "mlp.experts.#.up_proj.weight", shape: []dim{inner1, width}, in: isSparse},
		{key: "mlp.experts.#.down_proj.weight", shape: []dim{width, inner1}, in: isSparse},
	}
	fusedExperts = []row{
		{key: "mlp.experts.gate_up_proj", shape: []dim{nExperts, inner2, hidden}, in: isSparse, optional: true},
		{key: "mlp.experts.down_proj", shape: []dim{nExperts, hidden, inner1}, in: isSparse, optional: true},
	}
	// transposedExperts are [experts, in, out] (Llama 4, and Qwen3-VL as released).
	transposedExperts = []row{
		{key: "mlp.experts.gate_up_proj", shape: []dim{nExperts, hidden, inner2}, in: isSparse, optional: true, transposed: true},
		{key: "mlp.experts.down_proj", shape: []dim{nExperts, inner1, hidden}, in: isSparse, optional: true, transposed: true},
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
		{key: "block_sparse_moe.experts.#.w1.weight", shape: []dim{inner1, width}, in: isSparse},
		{key: "block_sparse_moe.experts.#.w2.weight", shape: []dim{width, inner1}, in: isSparse},
		{key: "block_sparse_moe.experts.#.w3.weight", shape: []dim{inner1, width}, in: isSparse},
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
		{key: "mlp.experts.gate_up_proj", shape: []dim{nExperts, hidden, inner2}, transposed: true},
		{key: "mlp.experts.gate_up_proj_bias", shape: []dim{nExperts, inner2}},
		{key: "mlp.experts.down_proj", shape: []dim{nExperts, inner1, hidden}, transposed: true},
		{key: "mlp.experts.down_proj_bias", shape: []dim{nExperts, hidden}},
	}
	// attentionGate is a gate as wide as the output, of a projection of its own.
	attentionGate = []row{{key: "self_attn.gate_proj.weight", shape: []dim{oCols, hidden}}}
	// streamed are the maps into and out of the streams of the residual before and
	// behind a block (DeepSeek-V4 and GLM-5.3).
	streamed = []row{
		{key: "hc_attn_fn", shape: []dim{mixes, hcWidth}},
		{key: "hc_attn_base", shape: []dim{mixes}},
		{key: "hc_attn_scale", shape: []dim{fixed(3)}},
		{key: "hc_ffn_fn", shape: []dim{mixes, hcWidth}},
		{key: "hc_ffn_base", shape: []dim{mixes}},
		{key: "hc_ffn_scale", shape: []dim{fixed(3)}},
	}
	// kda is Kimi's delta attention. Its output gate is a product of two matrices
	// where nothing else is said.
	kda = []row{
		{key: "self_attn.q_proj.weight", shape: []dim{deltaK, hidden}},
		{key: "self_attn.k_proj.weight", shape: []dim{deltaK, hidden}},
		{key: "self_attn.v_proj.weight", shape: []dim{deltaV, hidden}},
		{key: "self_attn.o_proj.weight", shape: []dim{hidden, deltaV}},
		{key: "self_attn.q_conv1d.weight", shape: []dim{deltaK, one, deltaKernel}},
		{key: "self_attn.k_conv1d.weight", shape: []dim{deltaK, one, deltaKernel}},
		{key: "self_attn.v_conv1d.weight", shape: []dim{deltaV, one, deltaKernel}},
		{key: "self_attn.dt_bias", shape: []dim{deltaV}},
		{key: "self_attn.b_proj.weight", shape: []dim{deltaHeads, hidden}},
		{key: "self_attn.o_norm.weight", shape: []dim{deltaHead}},
	}
	kdaLog   = []row{{key: "self_attn.A_log", shape: []dim{deltaHeads}}}
	kdaDecay = []row{
		{key: "self_attn.f_a_proj.weight", shape: []dim{deltaHead, hidden}},
		{key: "self_attn.f_b_proj.weight", shape: []dim{deltaV, deltaHead}},
	}
	kdaGate = []row{
		{key: "self_attn.g_a_proj.weight", shape: []dim{deltaHead, hidden}},
		{key: "self_attn.g_b_proj.weight", shape: []dim{deltaV, deltaHead}},
	}
	// nextn are what an MTP layer has beside a decoder layer. It may share the
	// embedding and the head of the model.
	nextn = []row{
		{key: "enorm.weight", shape: []dim{hidden}, in: isNextN},
		{key: "hnorm.weight", shape: []dim{hidden}, in: isNextN},
		{key: "eh_proj.weight", shape: []dim{hidden, hidden2}, in: isNextN},
		{key: "shared_head.norm.weight", shape: []dim{hidden}, in: isNextN},
		{key: "shared_head.head.weight", shape: []dim{vocab, hidden}, in: isNextN, optional: true},
		{key: "embed_tokens.weight", shape: []dim{vocab, hidden}, in: isNextN, optional: true},
	}
	// nextnFinal is the norm behind an MTP layer of others than DeepSeek and GLM.
	nextnFinal = []row{{key: "final_layernorm.weight", shape: []dim{hidden}, in: isNextN}}
	qwenMTP    = []row{
		{key: "mtp.fc.weight", shape: []dim{hidden, hidden2}, in: hasMTP, root: true},
		{key: "mtp.norm.weight", shape: []dim{hidden}, in: hasMTP, root: true},
		{key: "mtp.pre_fc_norm_embedding.weight", shape: []dim{hidden}, in: hasMTP, root: true},
		{key: "mtp.pre_fc_norm_hidden.weight", shape: []dim{hidden}, in: hasMTP, root: true},
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

// within returns the rows for those layers only that in allows.
func within(in when, rows []row) []row {
	rows = slices.Clone(rows)
	for i := range rows {
		if was := rows[i].in; was != nil {
			rows[i].in = both(was, in)
		} else {
			rows[i].in = in
		}
	}
	return rows
}

// renamed returns the rows with other names: pairs of a part of a key and what stands
// there instead.
func renamed(rows []row, pairs ...string) []row {
	rows = slices.Clone(rows)
	names := strings.NewReplacer(pairs...)
	for i := range rows {
		rows[i].key = names.Replace(rows[i].key)
	}
	return rows
}
