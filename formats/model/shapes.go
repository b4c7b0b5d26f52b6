package model

// dim computes a dimension from the config, of a tensor of a layer (−1 outside of
// layers); 0 when the config does not determine it.
type dim func(c *Config, layer int) int

// when says which layers have a tensor.
type when func(c *Config, layer int) bool

// row is a tensor that an architecture has: its name behind the layer (or outside
// of layers), "#" for a number, and its shape. Of several rows with one key the first
// that a layer has counts.
type row struct {
	key      string
	shape    []dim
	in       when // nil: every layer
	optional bool // its absence is no lack
	root     bool // it lies outside of layers
	// transposed is set for all experts of a layer as [experts, in, out].
	transposed bool
	// also is another name that the same tensor has elsewhere.
	also string
	// count is how many "#" stands for; nil: the routed experts.
	count dim
}

// of makes a dimension of a number that is the same in all layers.
func of(n func(*Config) int) dim { return func(c *Config, _ int) int { return n(c) } }

// times and plus combine dimensions that are known.
func times(a, b dim) dim {
	return func(c *Config, l int) int { return a(c, l) * b(c, l) }
}

func plus(dims ...dim) dim {
	return func(c *Config, l int) int {
		n := 0
		for _, d := range dims {
			m := d(c, l)
			if m == 0 {
				return 0
			}
			n += m
		}
		return n
	}
}

// fixed is a dimension that no config changes.
func fixed(n int) dim { return func(*Config, int) int { return n } }

// The dimensions that shapes are made of.
var (
	hidden  = of(func(c *Config) int { return c.HiddenSize })
	hidden2 = times(fixed(2), hidden)
	vocab   = of(func(c *Config) int { return c.VocabSize })
	one     = fixed(1)
	two     = fixed(2)

	inner   dim = (*Config).DenseSize
	inner1      = of((*Config).ExpertSize)
	inner2      = times(two, inner1)
	width       = of((*Config).ExpertWidth)
	innerS      = of((*Config).SharedSize)
	innerS2     = times(two, innerS)

	nExperts = of(func(c *Config) int { return c.NumExperts })
	choices  = of(func(c *Config) int { return c.NumExperts + c.ZeroExperts }) // of a router
	chosen   = of(func(c *Config) int { return c.NumExpertsPerTok })

	heads  dim = (*Config).HeadsOf
	head   dim = (*Config).HeadDimOf
	qRows      = times(heads, head)
	qRows2     = times(two, qRows)
	kvRows     = times((*Config).KVHeadsOf, head)
	vhRows     = times((*Config).KVHeadsOf, (*Config).ValueDimOf) // where values have another size than keys
	oCols      = times(heads, (*Config).ValueDimOf)

	qRank  = of(func(c *Config) int { return c.QLoraRank })
	kvRank = of(func(c *Config) int { return c.KVLoraRank })
	// kvARows has no rotated part where a config says that there is none (GLM-5.3).
	kvARows dim = func(c *Config, l int) int {
		if c.KVLoraRank == 0 || c.QKRopeHeadDim == 0 && !c.Has("qk_rope_head_dim") {
			return 0
		}
		return c.KVLoraRank + c.QKRopeHeadDim
	}
	qkHead dim = func(c *Config, l int) int {
		if c.QKNopeHeadDim == 0 || kvARows(c, l) == 0 {
			return 0
		}
		return c.QKHeadDim()
	}
	qkRows  = times(heads, qkHead)
	vHead   = of(func(c *Config) int { return c.VHeadDim })
	kvBRows = times(heads, plus(of(func(c *Config) int { return c.QKNopeHeadDim }), vHead))
	vRows   = times(heads, vHead)

	indexQ     = of(func(c *Config) int { return c.IndexHeads * c.IndexHeadDim })
	indexHead  = of(func(c *Config) int { return c.IndexHeadDim })
	indexHeads = of(func(c *Config) int { return c.IndexHeads })

	deltaK      = of(func(c *Config) int { return c.LinearKeyHeads * c.LinearKeyHeadDim })
	deltaV      = of(func(c *Config) int { return c.LinearValueHeads * c.LinearValueHeadDim })
	deltaQKV    = plus(deltaK, deltaK, deltaV)
	deltaQKVZ   = plus(deltaQKV, deltaV)
	deltaHeads  = of(func(c *Config) int { return c.LinearValueHeads })
	deltaHeads2 = times(two, deltaHeads)
	deltaHead   = of(func(c *Config) int { return c.LinearValueHeadDim })
	deltaKernel = of(func(c *Config) int { return c.LinearConvKernel })

	streams = of(func(c *Config) int { return c.HCMult })
	hcWidth = times(streams, hidden)
	mixes   = times(streams, plus(streams, two)) // in, out and between the streams
)

// The layers that have a tensor.
var (
	isDense   when = func(c *Config, l int) bool { return !c.HasExperts(l) }
	isSparse  when = (*Config).HasExperts
	hasShared when = func(c *Config, l int) bool { return c.HasExperts(l) && c.SharedSize() > 0 }
	isFull    when = func(c *Config, l int) bool { return !isLinear(c, l) }
	isLinear  when = func(c *Config, l int) bool { return c.LayerType(l) == "linear_attention" }
	isIndexed when = (*Config).HasIndexer
	ownKV     when = (*Config).HasKV
	hasQRank  when = func(c *Config, _ int) bool { return c.QLoraRank > 0 }
	noQRank   when = func(c *Config, _ int) bool { return c.QLoraRank == 0 }
	isNextN   when = func(c *Config, l int) bool { return l >= c.NumHiddenLayers }
	untied    when = func(c *Config, _ int) bool { return !c.TieEmbeddings }
	hasMTP    when = func(c *Config, _ int) bool { return c.NumMTPLayers > 0 }
	isLatent  when = func(c *Config, l int) bool { return c.HasExperts(l) && c.LatentSize > 0 }
)

// both and not combine conditions.
func both(a, b when) when { return func(c *Config, l int) bool { return a(c, l) && b(c, l) } }

func not(a when) when { return func(c *Config, l int) bool { return !a(c, l) } }
