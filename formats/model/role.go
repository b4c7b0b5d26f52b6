package model

import "strings"

// Role is what a tensor does in its model.
type Role uint8

// The roles. Those that hold matrices which block FP8 quantizes are Attention,
// DenseMLP, RoutedExpert, SharedExpert, Indexer and LinearAttention.
const (
	Unknown             Role = iota // no rule places the name
	Embedding                       // token embedding [vocabulary, hidden]
	Head                            // output head [vocabulary, hidden]
	Norm                            // weight of a normalization
	Attention                       // a projection of attention [out, in]
	DenseMLP                        // a projection of a dense feed-forward layer [out, in]
	RoutedExpert                    // a projection of an expert that the router chooses
	SharedExpert                    // a projection of an expert that every token passes
	Router                          // [experts, hidden], or V4's table of experts by token
	RouterBias                      // added to the router's logits or scores [experts]
	SharedExpertGate                // [1, hidden]
	MTPProjection                   // eh_proj, fc, e_proj, h_proj: embedding and hidden state to MTP input
	MTPHead                         // shared_head.head: the MTP layer's copy of the output head
	Indexer                         // wq_b, wk of sparse attention's indexer
	IndexerGate                     // weights_proj of the indexer
	LinearAttention                 // large projections of Gated DeltaNet
	LinearAttentionGate             // its small ones: in_proj_a, in_proj_b, in_proj_ba
	Conv                            // a convolution
	Bias                            // bias of a linear or a norm
	Sink                            // attention sinks [heads]
	State                           // decay parameters of linear attention: A_log, dt_bias
	Vision                          // towers and projectors of other modalities
	HyperConnection                 // maps into, between and out of the streams of the residual
	Compressor                      // compression of keys and values, or of an indexer's keys
	Buffer                          // computed from the config, not learned: inv_freq
	StateSpace                      // projections of Mamba layers
	LayerEmbedding                  // embeddings that enter at single layers, and their projections
	ExpertLatent                    // projections into and out of the space that routed experts work in
	Factor                          // learned numbers that something is multiplied by
	Scale                           // belongs to a quantized tensor, see Tensor.ScaleOf
	numRoles
)

// roleText is, by role, its name in JSON and tables, and why such a tensor is kept
// ("" for the roles that are quantized).
var roleText = [numRoles]struct{ name, why string }{
	Unknown:             {"unknown", "no rule places this tensor"},
	Embedding:           {"embedding", "embedding"},
	Head:                {"head", "output head"},
	Norm:                {"norm", "norm"},
	Attention:           {"attention", ""},
	DenseMLP:            {"dense_mlp", ""},
	RoutedExpert:        {"routed_expert", ""},
	SharedExpert:        {"shared_expert", ""},
	Router:              {"router", "router"},
	RouterBias:          {"router_bias", "router bias"},
	SharedExpertGate:    {"shared_expert_gate", "gate of the shared expert"},
	MTPProjection:       {"mtp_projection", "input projection of MTP"},
	MTPHead:             {"mtp_head", "output head of MTP"},
	Indexer:             {"indexer", ""},
	IndexerGate:         {"indexer_gate", "gate of the indexer"},
	LinearAttention:     {"linear_attention", ""},
	LinearAttentionGate: {"linear_attention_gate", "gate of linear attention"},
	Conv:                {"conv", "convolution"},
	Bias:                {"bias", "bias"},
	Sink:                {"sink", "attention sink"},
	State:               {"state", "decay of linear attention"},
	Vision:              {"vision", "vision or audio part"},
	HyperConnection:     {"hyper_connection", "hyper-connection"},
	Compressor:          {"compressor", "compressor of sparse attention"},
	Buffer:              {"buffer", "buffer, not a weight"},
	StateSpace:          {"state_space", "projection of a state-space layer"},
	LayerEmbedding:      {"layer_embedding", "embedding of single layers"},
	ExpertLatent:        {"expert_latent", "projection around the experts"},
	Factor:              {"factor", "learned factor"},
	Scale:               {"scale", "scale of a quantized tensor"},
}

// String returns the name of the role as JSON and tables show it.
func (r Role) String() string {
	if r < numRoles {
		return roleText[r].name
	}
	return "invalid"
}

// Linear reports whether block FP8 quantizes matrices of this role.
func (r Role) Linear() bool { return r < numRoles && roleText[r].why == "" }

// Routes reports whether tensors of this role decide between experts, by differences so
// small that no other dtype will do.
func (r Role) Routes() bool { return r == Router || r == RouterBias }

// Kept says for people why matrices of this role are not quantized; "" if they are.
func (r Role) Kept() string { return roleText[r].why }

// Tensor is what a name means. Its strings share memory with the name where they can.
type Tensor struct {
	Role Role

	// Layer is the number of the decoder layer, or −1. MTP layers number on after
	// the last layer whatever their name: of a model with 48 layers, both
	// model.layers.48 and mtp.layers.0 have the Layer 48.
	Layer int
	// Expert is the number of the routed expert, or −1, also for tensors that hold
	// all experts of a layer.
	Expert int
	// Part tells tensors of one role apart: "q", "k", "v", "o", "q_a", "q_b",
	// "kv_a", "kv_b", "gate", "up", "down", "gate_up", …; of a norm the last part of
	// its path ("input_layernorm"), with "indexer." or "compressor." in front where it
	// lies in one. A bias or scale has the Part of its weight.
	Part string
	// Piece tells tensors of one part apart that are alike: those of the two blocks of
	// a kind that a layer of LongCat has, and the pieces of Qwen 4's tables.
	Piece int
	// MTP is set for everything that belongs to multi-token prediction.
	MTP bool

	// Module and Param divide the name at its last dot: the path of the module as
	// engines see it, and the name of the parameter in it ("weight", "bias",
	// "e_score_correction_bias", "weight_scale_inv", "gate_up_proj", …).
	Module, Param string

	// Quantize is set when this is a matrix that block FP8 quantizes: a floating
	// point tensor of two dimensions, or of three when Fused3D.
	Quantize bool
	// Why says for people why it is not; "" when Quantize.
	Why string

	// Fused is shared by modules that engines fuse into one matrix, and which must
	// therefore be quantized all or none: the path of the fused module
	// ("model.layers.3.self_attn.qkv_proj"). "" when the module stands alone.
	Fused string

	// Fused3D is set when the tensor holds the matrices of all routed experts of
	// its layer. [experts, out, in], or [experts, in, out] when Transposed; the rows
	// of gate_up are all of gate and then all of up, or alternate when Interleaved.
	Fused3D, Transposed, Interleaved bool
	// Whole is set of such a tensor that engines read no matrices of single experts
	// instead of.
	Whole bool
	// ByExpert is set when index i of dimension 0 belongs to routed expert i: router,
	// router bias, fused experts, their biases and scales.
	ByExpert bool

	// Weights is how many weights one stored element holds: 1, 2 for packed FP4, 8
	// for INT4 in 32 bits; 0 for what is no weight (scales, buffers, tables).
	Weights int64

	// ScaleOf is the weight that a scale belongs to. The weight may also lie in the
	// file packed, as ScaleOf + "_packed". "" for scales of activations kept for a
	// cache (k_scale, v_scale), and when Role is not Scale.
	ScaleOf string
	// Multiplies is set when the codes of ScaleOf times this are its weights: not of
	// scales of its input, nor of second ones.
	Multiplies bool
}

// Name returns the full name of the tensor.
func (t *Tensor) Name() string {
	if t.Module == "" {
		return t.Param
	}
	return t.Module + "." + t.Param
}

// Packed reports whether one stored element holds several weights.
func (t *Tensor) Packed() bool { return t.Weights > 1 }

// sibling returns the path of another module beside this one.
func sibling(module, name string) string {
	if i := strings.LastIndexByte(module, '.'); i >= 0 {
		return module[:i+1] + name
	}
	return name
}
