package runner

import (
	"slices"
	"strings"

	"quern/formats/model"
	"quern/internal/invalid"
)

// family is what an architecture computes differently from others. What the config
// must not say is in fields.go; a tensor that the family has no use for is an error
// (account.go).
type family struct {
	// latent is set when some layers have multi-head latent attention, whose heads have
	// a rotated part of their own.
	latent bool
	// still is set when attention rotates nothing, ownEps when the norms of latents have
	// rms_norm_eps.
	still, ownEps bool
	// oddRotation is set when the rotated part of a head may be odd: its last pair then has
	// a channel more.
	oddRotation bool
	// mixers are the text mixers, by the types that layers have.
	mixers mixers
	// arrange lays out the blocks of a layer; nil: sequential.
	arrange arrangement
	norms   normKind
	// normOf says which where the config decides; nil: norms.
	normOf func(c *model.Config) normKind
	manner // of grouped attention
	// wideNorm is set when queries and keys are normalized over all heads at once.
	wideNorm bool
	// allWindow is set when sliding_window holds for every layer and not for those
	// that layer_types names.
	allWindow bool
	// routes changes a router that was laid out; nil: nothing.
	routes func(s *site, r *router)
	// weighInput is set when the weights of experts multiply what they read (Llama 4).
	weighInput bool
	router     *routers // nil: there are no experts
	// normalized is set when the weights of the chosen experts are divided by their
	// sum whatever the config says, and there is no factor.
	normalized bool
	// biases are the parts of attention that have one: always, or when biasField is
	// true, which is biasDefault where the config lacks it.
	biases      []string
	biasField   string
	biasDefault bool
	// bare is set when there is no norm behind the last layer.
	bare bool
	// ungated is set when feed-forward blocks have no gate.
	ungated bool
	// limited is set when swiglu_limit bounds gate and up of feed-forward blocks.
	limited bool
	// limitedExperts is set when it bounds those of routed experts only.
	limitedExperts bool
	// halves is set when latent attention rotates halves unless rope_interleave says pairs.
	halves bool
	// shifted is set when feed-forward blocks are those of swiglu_alpha: the gate's sigmoid
	// is steeper, and up is shifted by one (MiniMax-M3).
	shifted bool
	// mlpBias is set when mlp_bias gives dense layers and shared experts biases.
	mlpBias bool
	// headNorm says when queries and keys are normalized.
	headNorm headNorm
	// layerTypes is set when layer_types says which layers have a window.
	layerTypes bool
	// clamped is gpt_oss: experts in one transposed tensor, gate and up interleaved,
	// with biases, and their own activation.
	clamped bool
	// kind is the type of a layer, where another field says it than those that
	// model.Config.LayerType reads; nil: that.
	kind func(c *model.Config, layer int) string
	// factors are changed by what other fields say than factorFields; nil: nothing.
	factors func(c *model.Config, f *factors)
	// frame is what lies around the layers; nil: one stream.
	frame func(s *site) frame
	// mtp lays out the layer of multi-token prediction; nil: nextn.
	mtp func(s *site) (*mtp, error)
	// computes are fields of the config that the blocks of this row compute with, whatever
	// they say; judges says of others whether the function with them is computed. Both go
	// before the table in fields.go.
	computes map[string]bool
	judges   map[string]func(v value) bool
}

// typeOf is the type of a layer.
func (f *family) typeOf(c *model.Config, layer int) string {
	if f.kind != nil {
		return f.kind(c, layer)
	}
	return c.LayerType(layer)
}

// families that the runner computes, by the name that formats/model gives them.
// Sources: the modeling files of transformers 5 and the configs of the releases;
// formats and traps are collected in docs/verify.md.
var families = map[string]family{
	"llama":         {mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", mlpBias: true},
	"mistral":       {mixers: groupedQueries, allWindow: true},
	"qwen2":         {mixers: groupedQueries, biases: qkv, layerTypes: true},
	"qwen3":         {mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", headNorm: always, layerTypes: true},
	"qwen2_moe":     {mixers: groupedQueries, biases: qkv, biasField: "qkv_bias", biasDefault: true, router: softmaxTopK, layerTypes: true, computes: sparseSteps},
	"qwen3_moe":     {mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", headNorm: always, router: softmaxTopK, computes: sparseSteps},
	"mixtral":       {mixers: groupedQueries, router: softmaxTopK, normalized: true, allWindow: true},
	"minimax_m2":    {mixers: groupedQueries, router: sigmoidBiasTopK, normalized: true, wideNorm: true, headNorm: unlessOff, computes: partialRotation, judges: noWindow},
	"glm4_moe":      {mixers: groupedQueries, biases: qkv, biasField: "attention_bias", headNorm: whenOn, router: sigmoidBiasTopK, computes: partialRotation},
	"gpt_oss":       {mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", biasDefault: true, router: topKSoftmax, clamped: true, layerTypes: true, computes: set("hidden_act swiglu_limit swiglu_alpha"), judges: alwaysNormalized},
	"deepseek_v2":   {latent: true, mixers: latentAttention, biases: lora, biasField: "attention_bias", mlpBias: true, router: softmaxGroupMax, judges: neighbours},
	"deepseek_v3":   {latent: true, mixers: latentAttention, biases: lora, biasField: "attention_bias", router: sigmoidBiasTopK},
	"glm4_moe_lite": {latent: true, mixers: latentAttention, biases: lora, biasField: "attention_bias", router: sigmoidBiasTopK},
}

// Fields of the config that rows above compute with, or judge in their own way.
var (
	sparseSteps      = set("decoder_sparse_step mlp_only_layers")
	partialRotation  = set("partial_rotary_factor rotary_dim")
	noWindow         = map[string]func(v value) bool{"sliding_window": value.off} // engines disagree
	alwaysNormalized = map[string]func(v value) bool{"norm_topk_prob": value.on}
	neighbours       = map[string]func(v value) bool{"rope_interleave": value.on} // rotated pairs
)

// The parts of attention that have biases where a family has any.
var (
	qkv  = []string{"q", "k", "v"}
	qkvo = []string{"q", "k", "v", "o"}
	lora = []string{"q_a", "kv_a", "o"} // of latent attention
)

// mixers are what lays out text mixers, by the type of the layer: "" for all types that
// are not named, which are refused without it.
type mixers map[string]func(s *site) (mixer, error)

// of is that for a type of layer.
func (m mixers) of(layerType string) func(s *site) (mixer, error) {
	if make, ok := m[layerType]; ok {
		return make
	}
	return m[""]
}

// Those of families whose layers have the same one.
var (
	groupedQueries  = mixers{"": newGrouped}
	latentAttention = mixers{"": newLatent}
)

// headNorm says when queries and keys are normalized: by use_qk_norm, or whatever it
// says.
type headNorm uint8

const (
	never     headNorm = iota
	always             // whatever use_qk_norm says
	whenOn             // use_qk_norm, false by default
	unlessOff          // use_qk_norm, true by default
)

// normalizes reports whether queries and keys of a model are normalized.
func (f *family) normalizes(c *model.Config) bool {
	switch f.headNorm {
	case always:
		return true
	case whenOn:
		return c.UseQKNorm
	case unlessOff:
		return c.UseQKNorm || !c.Has("use_qk_norm")
	}
	return false
}

// biased reports whether a part of attention has a bias.
func (f *family) biased(c *model.Config, part string) bool {
	switch {
	case !slices.Contains(f.biases, part):
		return false
	case f.biasField == "":
		return true
	case !c.Has(f.biasField):
		return f.biasDefault
	case f.biasField == "qkv_bias":
		return c.QKVBias
	}
	return c.AttentionBias
}

// Families lists the architectures that the runner computes.
func Families() []string {
	names := make([]string, 0, len(families))
	for name := range families {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Supported says why a model cannot be run: another architecture, or a field of its
// config that makes it another function than the one that is computed. The error
// matches invalid.Input; nil when it can be run.
func Supported(a *model.Arch) error {
	if f, ok := families[a.Name()]; ok {
		_, err := lookAt(a.Name(), &f, a.Config())
		return err
	}
	name := a.Name()
	if c := a.Config(); !a.Known() && c.ModelType != "" {
		name = c.ModelType
	}
	what := "it"
	if l := lacking[name]; l != "" {
		what = l
	}
	return invalid.Errorf("model_type %q: the built-in runner does not compute %s; it computes %s", name, what, strings.Join(Families(), ", "))
}
