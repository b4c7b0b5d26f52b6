package model

import "strings"

// rule says what a module (or a parameter that lies directly in one) is.
type rule struct {
	role  Role
	part  string
	fused string // name of the module beside it that engines fuse it into
	flags trait
}

// trait is a set of properties of a rule.
type trait uint8

const (
	expert   trait = 1 << iota // the first number in the pattern is the routed expert's
	byExpert                   // dimension 0 counts routed experts
	fused3D                    // holds the matrices of all routed experts
	noWeight                   // integers that are looked up
	mtpOnly                    // part of an MTP layer wherever it stands
	headGate                   // no linear where it has one row a head
	piece                      // the first number in the pattern is that of one of several alike
)

// entry is a row of the vocabulary. In its pattern "#" stands for a number, and a
// first segment with "@" for each of the bases of that name.
type entry struct {
	pattern string
	rule    rule
}

// bases are the spellings of the two blocks of a decoder layer.
var bases = map[string][]string{
	"@attn": {"self_attn", "attn", "attention", "mixer"}, // mixer: Nemotron-H, of either kind
	"@mlp":  {"mlp", "block_sparse_moe", "feed_forward", "ffn", "moe", "mixer"},
}

// layerEntries are the names within a decoder layer. A pattern that ends in a
// module means its parameter "weight"; other parameters are written out.
var layerEntries = []entry{
	// Grouped-query attention. Engines fuse q, k and v.
	{"@attn.q_proj", rule{role: Attention, part: "q", fused: "qkv_proj"}},
	{"@attn.k_proj", rule{role: Attention, part: "k", fused: "qkv_proj"}},
	{"@attn.v_proj", rule{role: Attention, part: "v", fused: "qkv_proj"}},
	{"@attn.o_proj", rule{role: Attention, part: "o"}},
	{"@attn.out_proj", rule{role: Attention, part: "o"}},
	{"@attn.qkv_proj", rule{role: Attention, part: "qkv"}},
	// The gate of the output, as wide as the queries (Kimi): engines fuse it with
	// them. One that has a row for each head is a gate as those below.
	{"@attn.g_proj", rule{Attention, "g", "qkv_proj", headGate}},
	{"self_attn.gate_proj", rule{Attention, "g", "", headGate}}, // Hunyuan 4

	// Kimi's delta attention: the small projections of decay and write strength.
	{"@attn.b_proj", rule{role: LinearAttentionGate, part: "b"}},
	{"@attn.f_proj", rule{role: LinearAttentionGate, part: "f"}},
	{"@attn.f_a_proj", rule{role: LinearAttentionGate, part: "f_a"}},
	{"@attn.f_b_proj", rule{role: LinearAttentionGate, part: "f_b"}},
	{"@attn.A_log", rule{role: State, part: "A_log"}},
	{"@attn.dt_bias", rule{role: State, part: "dt_bias"}},
	{"@attn.q_conv1d", rule{role: Conv, part: "q"}},
	{"@attn.k_conv1d", rule{role: Conv, part: "k"}},
	{"@attn.v_conv1d", rule{role: Conv, part: "v"}},
	{"@attn.conv1d", rule{role: Conv, part: "conv1d"}},

	// Multi-head latent attention. Engines fuse the two projections of the hidden
	// state. Without a query latent (V2-Lite) there is a q_proj instead, and each
	// of the groups has one member.
	{"@attn.q_a_proj", rule{role: Attention, part: "q_a", fused: "fused_qkv_a_proj"}},
	{"@attn.kv_a_proj_with_mqa", rule{role: Attention, part: "kv_a", fused: "fused_qkv_a_proj"}},
	{"@attn.q_b_proj", rule{role: Attention, part: "q_b"}},
	{"@attn.kv_b_proj", rule{role: Attention, part: "kv_b"}},

	// Sparse attention's indexer (DeepSeek-V3.2, GLM-5).
	{"@attn.indexer.wq_b", rule{role: Indexer, part: "q_b"}},
	{"@attn.indexer.wk", rule{role: Indexer, part: "k"}},
	{"@attn.indexer.weights_proj", rule{role: IndexerGate}},
	{"@attn.indexer.k_norm", rule{role: Norm, part: "indexer.k_norm"}},

	{"@attn.sinks", rule{role: Sink}},
	{"@attn.rotary_emb.inv_freq", rule{role: Buffer}},
	{"rotary_emb.inv_freq", rule{role: Buffer}},

	// Gated DeltaNet. Qwen3-Next stores q, k, v, z in one matrix; Qwen3.5 stores
	// two, which engines fuse.
	{"linear_attn.in_proj_qkvz", rule{role: LinearAttention, part: "qkvz"}},
	{"linear_attn.in_proj_qkv", rule{role: LinearAttention, part: "qkv", fused: "in_proj_qkvz"}},
	{"linear_attn.in_proj_z", rule{role: LinearAttention, part: "z", fused: "in_proj_qkvz"}},
	{"linear_attn.out_proj", rule{role: LinearAttention, part: "o"}},
	{"linear_attn.in_proj_ba", rule{role: LinearAttentionGate, part: "ba"}},
	{"linear_attn.in_proj_a", rule{role: LinearAttentionGate, part: "a"}},
	{"linear_attn.in_proj_b", rule{role: LinearAttentionGate, part: "b"}},
	{"linear_attn.conv1d", rule{role: Conv, part: "conv1d"}},
	{"linear_attn.A_log", rule{role: State, part: "A_log"}},
	{"linear_attn.dt_bias", rule{role: State, part: "dt_bias"}},

	// Dense feed-forward layers.
	{"@mlp.gate_proj", rule{role: DenseMLP, part: "gate", fused: "gate_up_proj"}},
	{"@mlp.up_proj", rule{role: DenseMLP, part: "up", fused: "gate_up_proj"}},
	{"@mlp.down_proj", rule{role: DenseMLP, part: "down"}},
	{"@mlp.gate_up_proj", rule{role: DenseMLP, part: "gate_up"}},
	{"@mlp.w1", rule{role: DenseMLP, part: "gate", fused: "gate_up_proj"}},
	{"@mlp.w3", rule{role: DenseMLP, part: "up", fused: "gate_up_proj"}},
	{"@mlp.w2", rule{role: DenseMLP, part: "down"}},

	// Routed experts, one matrix each.
	{"@mlp.experts.#.gate_proj", rule{RoutedExpert, "gate", "gate_up_proj", expert}},
	{"@mlp.experts.#.up_proj", rule{RoutedExpert, "up", "gate_up_proj", expert}},
	{"@mlp.experts.#.down_proj", rule{RoutedExpert, "down", "", expert}},
	{"@mlp.experts.#.gate_up_proj", rule{RoutedExpert, "gate_up", "", expert}},
	{"@mlp.experts.#.w1", rule{RoutedExpert, "gate", "gate_up_proj", expert}},
	{"@mlp.experts.#.w3", rule{RoutedExpert, "up", "gate_up_proj", expert}},
	{"@mlp.experts.#.w2", rule{RoutedExpert, "down", "", expert}},

	// Routed experts, all of a layer in one tensor.
	{"@mlp.experts.gate_up_proj", rule{RoutedExpert, "gate_up", "", fused3D | byExpert}},
	{"@mlp.experts.gate_proj", rule{RoutedExpert, "gate", "", fused3D | byExpert}},
	{"@mlp.experts.up_proj", rule{RoutedExpert, "up", "", fused3D | byExpert}},
	{"@mlp.experts.down_proj", rule{RoutedExpert, "down", "", fused3D | byExpert}},
	{"@mlp.switch_mlp.gate_proj", rule{RoutedExpert, "gate", "", fused3D | byExpert}}, // MLX
	{"@mlp.switch_mlp.up_proj", rule{RoutedExpert, "up", "", fused3D | byExpert}},
	{"@mlp.switch_mlp.down_proj", rule{RoutedExpert, "down", "", fused3D | byExpert}},
	{"experts.gate_up_proj", rule{RoutedExpert, "gate_up", "", fused3D | byExpert}},
	{"experts.down_proj", rule{RoutedExpert, "down", "", fused3D | byExpert}},

	// Shared experts: DeepSeek and GLM, Qwen, Hunyuan.
	{"@mlp.shared_experts.gate_proj", rule{role: SharedExpert, part: "gate", fused: "gate_up_proj"}},
	{"@mlp.shared_experts.up_proj", rule{role: SharedExpert, part: "up", fused: "gate_up_proj"}},
	{"@mlp.shared_experts.down_proj", rule{role: SharedExpert, part: "down"}},
	{"@mlp.shared_expert.gate_proj", rule{role: SharedExpert, part: "gate", fused: "gate_up_proj"}},
	{"@mlp.shared_expert.up_proj", rule{role: SharedExpert, part: "up", fused: "gate_up_proj"}},
	{"@mlp.shared_expert.down_proj", rule{role: SharedExpert, part: "down"}},
	{"@mlp.shared_mlp.gate_proj", rule{role: SharedExpert, part: "gate", fused: "gate_up_proj"}},
	{"@mlp.shared_mlp.up_proj", rule{role: SharedExpert, part: "up", fused: "gate_up_proj"}},
	{"@mlp.shared_mlp.down_proj", rule{role: SharedExpert, part: "down"}},
	{"@mlp.shared_experts.w1", rule{role: SharedExpert, part: "gate", fused: "gate_up_proj"}},
	{"@mlp.shared_experts.w3", rule{role: SharedExpert, part: "up", fused: "gate_up_proj"}},
	{"@mlp.shared_experts.w2", rule{role: SharedExpert, part: "down"}},
	{"@mlp.shared_expert_gate", rule{role: SharedExpertGate}},

	{"share_expert.gate_proj", rule{role: SharedExpert, part: "gate", fused: "gate_up_proj"}}, // Step
	{"share_expert.up_proj", rule{role: SharedExpert, part: "up", fused: "gate_up_proj"}},
	{"share_expert.down_proj", rule{role: SharedExpert, part: "down"}},

	// State-space layers of Nemotron-H: their projections hold several things of
	// other ranges in one matrix.
	{"mixer.in_proj", rule{role: StateSpace, part: "in"}},
	{"mixer.out_proj", rule{role: StateSpace, part: "out"}},
	{"mixer.D", rule{role: State, part: "D"}},

	// Routers.
	{"@mlp.gate", rule{role: Router, flags: byExpert}},
	{"@mlp.router", rule{role: Router, flags: byExpert}},
	{"@mlp.gate.wg", rule{role: Router, flags: byExpert}},
	{"@mlp.router.gate", rule{role: Router, flags: byExpert}},
	{"router.proj", rule{role: Router, flags: byExpert}},
	{"router.per_expert_scale", rule{role: RouterBias, flags: byExpert}},
	{"@mlp.router.e_score_correction_bias", rule{role: RouterBias, flags: byExpert}},
	{"@mlp.gate.e_score_correction_bias", rule{role: RouterBias, flags: byExpert}},
	{"@mlp.e_score_correction_bias", rule{role: RouterBias, flags: byExpert}},
	{"@mlp.router_bias", rule{role: RouterBias, flags: byExpert}},
	{"@mlp.gate.expert_bias", rule{role: RouterBias, flags: byExpert}},
	{"@mlp.expert_bias", rule{role: RouterBias, flags: byExpert}},
	{"@mlp.moe_statics.e_score_correction_bias", rule{role: RouterBias, flags: byExpert}},

	// MTP in the layers after the last: DeepSeek, GLM; e_proj and h_proj: V4;
	// input_proj: MiMo.
	{"embed_tokens", rule{role: Embedding, flags: mtpOnly}},
	{"eh_proj", rule{role: MTPProjection, flags: mtpOnly}},
	{"e_proj", rule{role: MTPProjection, part: "e", flags: mtpOnly}},
	{"h_proj", rule{role: MTPProjection, part: "h", flags: mtpOnly}},
	{"input_proj", rule{role: MTPProjection, flags: mtpOnly}},
	{"shared_head.head", rule{role: MTPHead, flags: mtpOnly}},
	{"mtp_linear_proj", rule{role: MTPProjection, flags: mtpOnly}}, // ERNIE
	{"mtp_emb_norm", rule{role: Norm, part: "mtp_emb_norm", flags: mtpOnly}},
	{"mtp_hidden_norm", rule{role: Norm, part: "mtp_hidden_norm", flags: mtpOnly}},
}

// rootEntries are the names outside of layers; below mtp they are the module's own.
var rootEntries = []entry{
	{"embed_tokens", rule{role: Embedding}},
	{"tok_embeddings", rule{role: Embedding}},
	{"word_embeddings", rule{role: Embedding}},
	{"embeddings", rule{role: Embedding}}, // Nemotron-H
	{"wte", rule{role: Embedding}},
	{"lm_head", rule{role: Head}},
	{"embed_out", rule{role: Head}},
	{"rotary_emb.inv_freq", rule{role: Buffer}},
	// Qwen's MTP, in front of its layers.
	{"fc", rule{role: MTPProjection, flags: mtpOnly}},
	{"eh_proj", rule{role: MTPProjection, flags: mtpOnly}},
}

// vocabulary is a compiled table: rules by pattern, for layers and outside of them.
type vocabulary struct{ layer, root map[string]rule }

// compile expands the bases of the entries. Later entries win.
func compile(layer, root []entry) vocabulary {
	v := vocabulary{layer: make(map[string]rule), root: make(map[string]rule)}
	for _, e := range layer {
		first, rest, _ := strings.Cut(e.pattern, ".")
		if bases[first] == nil {
			v.layer[e.pattern] = e.rule
		}
		for _, b := range bases[first] {
			v.layer[b+"."+rest] = e.rule
		}
	}
	for _, e := range root {
		v.root[e.pattern] = e.rule
	}
	return v
}

// common is the vocabulary that every architecture is read with.
var common = compile(layerEntries, rootEntries)
