package runner

import (
	"slices"
	"strings"

	"quern/formats"
	"quern/formats/model"
)

// family is what an architecture computes differently from others. Where tensors
// decide (biases, norms of queries and keys, a gate of the shared expert), there is
// no entry: what the checkpoint holds is applied.
type family struct {
	latent bool // multi-head latent attention
	// wideNorm is set when queries and keys are normalized over all heads at once.
	wideNorm bool
	// allWindow is set when sliding_window holds for every layer and not for those
	// that layer_types names.
	allWindow bool
	router    routerKind
	// normalized is set when the weights of the chosen experts are divided by their
	// sum whatever the config says, and there is no factor.
	normalized bool
	// clamped is gpt_oss: experts in one transposed tensor, gate and up interleaved,
	// with biases, and their own activation.
	clamped bool
}

// families that the runner computes, by the name that formats/model gives them.
// Sources: the modeling files of transformers 5 and the configs of the releases;
// formats and traps are collected in docs/verify.md.
var families = map[string]family{
	"llama":         {},
	"mistral":       {allWindow: true},
	"qwen2":         {},
	"qwen3":         {},
	"qwen2_moe":     {router: softmaxTopK},
	"qwen3_moe":     {router: softmaxTopK},
	"mixtral":       {router: softmaxTopK, normalized: true, allWindow: true},
	"minimax_m2":    {router: sigmoidBiasTopK, normalized: true, wideNorm: true},
	"glm4_moe":      {router: sigmoidBiasTopK},
	"gpt_oss":       {router: topKSoftmax, clamped: true},
	"deepseek_v2":   {latent: true, router: softmaxGroupMax},
	"deepseek_v3":   {latent: true, router: sigmoidBiasTopK},
	"glm4_moe_lite": {latent: true, router: sigmoidBiasTopK},
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

// Supported says why an architecture cannot be run, in an error that matches
// formats.ErrInvalid; nil when it can.
func Supported(a *model.Arch) error {
	if _, ok := families[a.Name()]; ok {
		return nil
	}
	name := a.Name()
	if c := a.Config(); !a.Known() && c.ModelType != "" {
		name = c.ModelType
	}
	return formats.Invalidf("model_type %q: the built-in runner does not compute it; it computes %s", name, strings.Join(Families(), ", "))
}
