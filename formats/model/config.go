package model

import (
	"cmp"
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
	SlidingWindowSize int      // sliding_window_size: of MiMo, in whose SlidingWindow it is counted
	LayerTypes        []string // "full_attention", "sliding_attention", "linear_attention", … by layer
	FullAttentionStep int      // full_attention_interval, layer_group_size: every n-th layer is full attention
	// HeadsByLayer is num_attention_heads_per_layer (Laguna).
	HeadsByLayer []int
	// Of layers with a window, where they differ: swa_… (MiMo). Of layers without, where
	// those differ: num_global_key_value_heads, global_head_dim (Gemma 4), whose values
	// are their keys when KEqV (attention_k_eq_v). Ask HeadsOf, KVHeadsOf, …
	SlidingHeads, SlidingKVHeads      int
	SlidingHeadDim, SlidingValueDim   int
	GlobalKVHeads, GlobalHeadDim      int
	KEqV                              bool
	SlidingSinks, FullSinks           bool    // add_swa_, add_full_attention_sink_bias (MiMo)
	ValueScale                        float64 // attention_value_scale (MiMo)
	ChunkSize                         int     // attention_chunk_size (Llama 4)
	NoRopeLayers                      []int   // no_rope_layers: 0 by layer where nothing rotates
	NoRopeStep                        int     // no_rope_layer_interval: every n-th layer rotates nothing
	AttnTemperature                   bool    // attn_temperature_tuning (Llama 4): by AttnScale and FloorScale
	AttnScale, FloorScale             float64
	OutputGate                        bool   // attn_output_gate, mla_use_output_gate
	NoRope                            bool   // mla_use_nope (Kimi): nothing rotates
	Gating                            string // gating as a string (Laguna): "per-element"
	FinalSoftcap                      float64
	EmbeddingMultiplier               float64 // Granite's four
	AttentionMultiplier               float64
	ResidualMultiplier, LogitsScaling float64
	LogitScale                        float64 // Cohere
	KVSharedLayers                    int     // num_kv_shared_layers: the last n take keys and values of others (Gemma 4)
	PerLayerInput                     int     // hidden_size_per_layer_input (Gemma 4)

	// Multi-head latent attention and its indexer.
	QLoraRank     int // 0: q_proj is one matrix
	KVLoraRank    int
	QKNopeHeadDim int
	QKRopeHeadDim int
	VHeadDim      int
	IndexHeads    int // index_n_heads
	IndexHeadDim  int
	IndexTopK     int
	// Which layers have an indexer of their own, others take the last one's choice:
	// indexer_types ("full", "shared"), index_topk_pattern ("FSSF…") or
	// index_topk_freq with index_skip_topk_offset. Ask HasIndexer.
	IndexerTypes            []string
	IndexPattern            string
	IndexFreq, IndexOffset  int
	IndexPool               int // index_kpool: keys pooled for one score (GLM-5.3)
	IndexBlock, IndexBlocks int // index_block_size, index_topk_blocks (MiniMax-M3)
	IndexLocalBlocks        int
	IndexBudget, IndexRatio int // indexer_budget, indexer_compress_ratio (Qwen 4)
	IndexKVHeads            int
	// KVSourceLayers is, by layer, the one whose keys and values it takes (Mistral Large 4).
	KVSourceLayers []int

	// DeepSeek-V4: grouped output projection, compression of keys and values by layer
	// (0: none), with its own theta, and the layers whose experts follow from the token.
	OGroups, OLoraRank int
	CompressRatios     []int
	OverlapRatio       int // of the layers whose windows overlap, which have an indexer
	CompressRopeTheta  float64
	NumHashLayers      int    // the first n, or
	HashLayers         []bool // by layer (mlp_layer_types: "hash_moe")

	// Hyper-connections: HCMult streams of the residual.
	HCMult, HCIters    int     // hc_mult or hc_count, hc_sinkhorn_iters
	HCEps, HCMagnitude float64 // hc_eps, hc_magnitude (Hunyuan 4)
	HCLowRank          int     // hc_lowrank (Qwen 4)
	// ResidualBlock is how many layers add to one sum before attention residuals begin a
	// new one (attn_res_block_size of Kimi-K3).
	ResidualBlock int

	// Linear attention (Gated DeltaNet, and Kimi's delta attention, whose heads are all
	// alike).
	LinearKeyHeads     int
	LinearValueHeads   int
	LinearKeyHeadDim   int
	LinearValueHeadDim int
	LinearConvKernel   int
	LinearLowerBound   float64 // of the decay's logarithm (KDA); 0 when absent, else negative
	LinearFullGate     bool    // use_full_rank_gate: the output gate is one matrix (Kimi-K3)

	// State-space layers (Mamba 2) and the kinds of layers around them.
	MambaHeads, MambaHeadDim int
	MambaGroups, MambaState  int // n_groups, ssm_state_size
	MambaConvKernel          int // conv_kernel
	MambaConvBias            bool
	// BlockTypes is the only block of each layer of Nemotron-H: "mamba", "attention",
	// "moe" or "mlp"; MTPBlockTypes those of one step of multi-token prediction.
	BlockTypes, MTPBlockTypes []string

	// N-gram embeddings on some layers (Qwen 4).
	NGram NGram

	// Blocks are the sizes of layers that all differ (Nemotron-NAS); nil for others.
	Blocks []Block

	// Experts.
	NumExperts             int // n_routed_experts, num_experts or num_local_experts
	NumExpertsPerTok       int
	NumSharedExperts       int
	MoEIntermediateSize    int
	SharedIntermediateSize int // shared_expert_intermediate_size
	// DenseIntermediateSize is that of dense layers where intermediate_size is the
	// experts': dense_intermediate_size, intermediate_size_mlp, ffn_hidden_size.
	DenseIntermediateSize int
	LatentSize            int // moe_latent_size, routed_expert_hidden_size: experts' input and output
	ZeroExperts           int // zero_expert_num: choices of the router that have no weights (LongCat)
	NGroup, TopKGroup     int
	FirstKDense           int   // first_k_dense_replace
	MoELayerFreq          int   // moe_layer_freq as a number
	DecoderSparseStep     int   // every n-th layer has experts
	MoELayerStart         int   // moe_layer_start_index (ERNIE)
	MoELayerEnd           int   // moe_layer_end_index; NumHiddenLayers − 1 when absent
	MLPOnlyLayers         []int // layers that have none
	MoELayers             []int // moe_layers (Llama 4): the only layers that have some
	// MLPLayerTypes is "dense" or "sparse" by layer: mlp_layer_types, or
	// moe_layer_freq given as a list.
	MLPLayerTypes       []string
	NormTopKProb        bool
	ScoringFunc         string // "softmax", "sigmoid", …
	TopKMethod          string // "greedy", "group_limited_greedy", "noaux_tc"
	RoutedScalingFactor float64
	SwigluAlpha         float64 // gpt_oss
	SwigluLimit         float64

	// DenseMTP is set when layers of multi-token prediction have no experts though the model
	// has; MTPLayerType is their type where it is not full attention.
	DenseMTP     bool
	MTPLayerType string
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

// NGram are the sizes of embeddings of n-grams.
type NGram struct {
	Size, Heads int   // ngram_size, heads_per_ngram
	EmbedDim    int   // ple_embed_dim
	VocabBase   int   // ngram_vocab_size_base: each head has a prime of rows, from here on
	Multiple    int   // make_ngram_vocab_size_divisible_by
	Parts       int   // split_ngram_parts: the table's tensors
	ConvKernel  int   // ple_conv_kernel_size
	Layers      []int // ple_layer_ids, counted from 1
}

// Block is the size of one layer; nothing where a block is left out.
type Block struct{ KVHeads, Inner int }

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
	// Alpha is alpha of type dynamic (Hunyuan): theta is raised by it whatever the length.
	Alpha float64
	// Of type longrope: what each pair's frequency is divided by, in texts within
	// OriginalMax and in longer ones, and what cosine and sine are multiplied by (PhiMoE).
	ShortFactor, LongFactor []float64
	ShortMScale, LongMScale float64
	// Llama4Beta is llama_4_scaling_beta: queries grow with their position (Mistral 4).
	Llama4Beta float64
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
	Mode             string // of MLX: "affine", "mxfp4", "mxfp8", "nvfp4"
	Checkpoint       string // checkpoint_format of GPTQ: "gptq", "gptq_v2"
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

// InputBits is how many bits inputs of weights of so many bits are rounded to, by
// config_groups; 0: they stay as they are. said is false where no group is about such
// weights. q may be nil.
func (q *Quantization) InputBits(bits int) (n int, said bool) {
	if q == nil {
		return 0, false
	}
	for i := range q.Groups {
		g := &q.Groups[i]
		if g.NumBits != bits {
			continue
		}
		said = true
		if g.Activations && n == 0 {
			n = cmp.Or(g.InputBits, bits)
		}
	}
	return n, said
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
	InputBits      int  // of their numbers, 0 where that is not said
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
	// What stands for each layer has to be there for each. Longer lists go on with MTP.
	for _, l := range []struct {
		key string
		n   int
	}{
		{"compress_ratios", len(c.CompressRatios)},
		{"num_attention_heads_per_layer", len(c.HeadsByLayer)},
		{"indexer_types", len(c.IndexerTypes)},
		{"kv_source_layers", len(c.KVSourceLayers)},
		{"block_configs", len(c.Blocks)},
	} {
		if l.n > 0 && l.n < c.NumHiddenLayers {
			return invalid.Errorf("%q: %d values for %d layers", l.key, l.n, c.NumHiddenLayers)
		}
	}
	return nil
}
