package model

import (
	"iter"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// Config holds the numbers of a config.json that say what a model computes, in the
// spelling of either generation of transformers. A number that the file lacks (or
// gives as null) is 0, or the default that the field names. Of a multimodal
// model it describes the text part (text_config).
type Config struct {
	ModelType     string   // model_type of the text part
	Wrapper       string   // model_type around it; "" when there is no wrapper
	Architectures []string // the classes that load the checkpoint
	DType         string   // dtype or torch_dtype: "bfloat16", …

	HiddenSize       int
	IntermediateSize int // of dense layers; of experts in mixtral, minimax_m2 and gpt_oss
	NumHiddenLayers  int
	VocabSize        int
	MaxPositions     int // max_position_embeddings
	HiddenAct        string
	RMSNormEps       float64
	TieEmbeddings    bool // tie_word_embeddings: the output head is the embedding
	BOS, EOS         []int

	// Attention.
	NumHeads          int
	NumKVHeads        int // num_key_value_heads; NumHeads when absent
	HeadDim           int // head_dim; HiddenSize / NumHeads when absent
	AttentionBias     bool
	QKVBias, MLPBias  bool
	UseQKNorm         bool
	SlidingWindow     int
	LayerTypes        []string // "full_attention", "sliding_attention", "linear_attention", … by layer
	FullAttentionStep int      // full_attention_interval: every n-th layer is full attention

	// Multi-head latent attention and its indexer.
	QLoraRank     int // 0: q_proj is one matrix
	KVLoraRank    int
	QKNopeHeadDim int
	QKRopeHeadDim int
	VHeadDim      int
	IndexHeads    int // index_n_heads
	IndexHeadDim  int
	IndexTopK     int

	// Linear attention (Gated DeltaNet).
	LinearKeyHeads     int
	LinearValueHeads   int
	LinearKeyHeadDim   int
	LinearValueHeadDim int
	LinearConvKernel   int

	// Experts.
	NumExperts             int // n_routed_experts, num_experts or num_local_experts
	NumExpertsPerTok       int
	NumSharedExperts       int
	MoEIntermediateSize    int
	SharedIntermediateSize int // shared_expert_intermediate_size
	NGroup, TopKGroup      int
	FirstKDense            int   // first_k_dense_replace
	MoELayerFreq           int   // moe_layer_freq as a number
	DecoderSparseStep      int   // every n-th layer has experts
	MLPOnlyLayers          []int // layers that have none
	// MLPLayerTypes is "dense" or "sparse" by layer: mlp_layer_types, or
	// moe_layer_freq given as a list.
	MLPLayerTypes       []string
	NormTopKProb        bool
	ScoringFunc         string // "softmax", "sigmoid", …
	TopKMethod          string // "greedy", "group_limited_greedy", "noaux_tc"
	RoutedScalingFactor float64
	SwigluAlpha         float64 // gpt_oss
	SwigluLimit         float64

	// NumMTPLayers is num_nextn_predict_layers, mtp_num_hidden_layers or
	// num_mtp_layers: the layers of multi-token prediction behind the last layer.
	// num_mtp_modules counts only with use_mtp: MiniMax-M2 names modules that its
	// checkpoints lack.
	NumMTPLayers int

	Rope Rope
	// RopeByType holds the parameters of models that differ by layer type; Rope is
	// then that of full attention.
	RopeByType map[string]Rope
	// RopeInterleave is rope_interleave: pairs are (2i, 2i+1). IndexerRopeInterleave
	// says so of the indexer.
	RopeInterleave, IndexerRopeInterleave bool
	RotaryDim                             int // rotary_dim: as PartialRotaryFactor, in dimensions

	// Quant describes how the checkpoint is quantized; nil when it is not.
	Quant *Quantization

	has    map[string]bool     // the known keys that were given a value
	levels []*strictjson.Value // the text part and what lies around it
}

// Rope holds the parameters of rotary position embedding.
type Rope struct {
	Theta               float64
	Type                string // "default", "yarn", "llama3", …; "" when absent
	Factor              float64
	OriginalMax         int // original_max_position_embeddings
	BetaFast, BetaSlow  float64
	MScale, MScaleAll   float64 // mscale, mscale_all_dim
	LowFreq, HighFreq   float64 // low_freq_factor, high_freq_factor
	AttentionFactor     float64
	PartialRotaryFactor float64 // share of the head that is rotated; 0 when absent (all)
	// NoTruncate is truncate: false of gpt_oss: the bounds of YaRN's ramp are not
	// rounded.
	NoTruncate bool
}

// Quantization is a quantization_config. Fields that its method does not have are zero.
type Quantization struct {
	Method           string // quant_method: "fp8", "compressed-tensors", "modelopt", "mxfp4", …
	Fmt              string // "e4m3"
	ScaleFmt         string // "ue8m0" or ""
	ActivationScheme string // "dynamic" or "static"
	Algo             string // quant_algo of modelopt
	Format           string // format of compressed-tensors
	WeightBlockSize  []int  // [out, in], nil when scales are not by block
	Bits             int    // of integer formats
	GroupSize        int
	// NotConverted are the patterns of modules that are not quantized:
	// modules_to_not_convert, ignored_layers, ignore or exclude_modules.
	NotConverted []string
	Groups       []QuantGroup // config_groups of compressed-tensors, by name
}

// Tile returns the edges [out, in] of the tiles that have a scale each, from
// weight_block_size or from block_structure of compressed-tensors; nil when the config
// names none. q may be nil.
func (q *Quantization) Tile() []int64 {
	if q == nil {
		return nil
	}
	edges := q.WeightBlockSize
	for i := range q.Groups {
		if len(edges) == 0 {
			edges = q.Groups[i].BlockStructure
		}
	}
	var tile []int64
	for _, n := range edges {
		tile = append(tile, int64(n))
	}
	return tile
}

// QuantGroup is one of the config_groups of compressed-tensors.
type QuantGroup struct {
	Name           string
	Format         string
	Targets        []string
	NumBits        int    // of weights
	Type           string // "float" or "int"
	Strategy       string // "tensor", "channel", "block", "group", "tensor_group"
	GroupSize      int
	BlockStructure []int
	Activations    bool // inputs are quantized too
}

// Has reports whether the config gives a value to a key: one of the names that the
// fields above are read from.
func (c *Config) Has(key string) bool { return c.has[key] }

// Fields yields every key of the config that has a value, those too that are not read:
// the text part's first, then those around it that it lacks.
func (c *Config) Fields() iter.Seq2[string, *strictjson.Value] {
	return func(yield func(string, *strictjson.Value) bool) {
		seen := map[string]bool{}
		for _, l := range c.levels {
			for i := range l.Members {
				m := &l.Members[i]
				if m.Value.Kind == strictjson.KindNull || seen[m.Key] {
					continue
				}
				seen[m.Key] = true
				if !yield(m.Key, &m.Value) {
					return
				}
			}
		}
	}
}

// Layers beyond this, experts beyond that: no model has them, and what loops over
// them must end.
const (
	maxLayers  = 10_000
	maxExperts = 100_000
	maxSize    = 1 << 31
)

// checkWhole finds numbers that are possible alone and impossible together.
func (c *Config) checkWhole() error {
	if k, e := c.NumExpertsPerTok, c.NumExperts; e > 0 && k > e {
		return invalid.Errorf("%q: %d chosen of %d experts", "num_experts_per_tok", k, e)
	}
	if k, n := c.TopKGroup, c.NGroup; n > 0 && k > n {
		return invalid.Errorf("%q: %d chosen of %d groups", "topk_group", k, n)
	}
	return nil
}

// HasExperts reports whether a layer has routed experts. Layers behind the last
// are MTP layers, which have them whenever the model does.
func (c *Config) HasExperts(layer int) bool {
	if c.NumExperts == 0 {
		return false
	}
	if c.NumHiddenLayers > 0 && layer >= c.NumHiddenLayers {
		return true
	}
	if layer < len(c.MLPLayerTypes) {
		return c.MLPLayerTypes[layer] == "sparse"
	}
	for _, l := range c.MLPOnlyLayers {
		if l == layer {
			return false
		}
	}
	return layer >= c.FirstKDense &&
		(c.MoELayerFreq <= 1 || layer%c.MoELayerFreq == 0) &&
		(c.DecoderSparseStep <= 1 || (layer+1)%c.DecoderSparseStep == 0)
}

// LayerType returns the kind of attention of a layer, "full_attention" by default.
// MTP layers are full attention.
func (c *Config) LayerType(layer int) string {
	if layer < len(c.LayerTypes) {
		return c.LayerTypes[layer]
	}
	if n := c.FullAttentionStep; n > 0 && layer < c.NumHiddenLayers && (layer+1)%n != 0 {
		return "linear_attention"
	}
	return "full_attention"
}

// ExpertSize is the intermediate size of a routed expert.
func (c *Config) ExpertSize() int {
	if c.MoEIntermediateSize > 0 {
		return c.MoEIntermediateSize
	}
	return c.IntermediateSize
}

// SharedSize is the intermediate size of the shared experts together.
func (c *Config) SharedSize() int {
	if c.SharedIntermediateSize > 0 {
		return c.SharedIntermediateSize
	}
	return c.NumSharedExperts * c.MoEIntermediateSize
}

// QKHeadDim is the size of a query or key head of latent attention.
func (c *Config) QKHeadDim() int { return c.QKNopeHeadDim + c.QKRopeHeadDim }
