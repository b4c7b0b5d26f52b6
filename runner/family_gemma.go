package runner

import (
	"maps"
	"math"

	"quern/formats/model"
)

// Google's models. (Source: modeling files of gemma4 in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"gemma4": {
			mixers: windows, layerTypes: true, headNorm: always, manner: manner{adapt: gemmaAttention},
			arrange: gemmaLayer, router: softmaxTopK, normalized: true, routes: gemmaRouter, factors: gemmaFactors,
			computes: set(`
				hidden_activation final_logit_softcapping attention_k_eq_v global_head_dim num_global_key_value_heads per_layer_config
				enable_moe_block top_k_experts vocab_size_per_layer_input
			`),
			judges: map[string]func(v value) bool{
				"hidden_size_per_layer_input": value.off,
				"num_kv_shared_layers":        value.off,
				"use_double_wide_mlp":         value.off,
				// Images see each other; a text has none.
				"use_bidirectional_attention": func(v value) bool { s, _ := v.Str(); return v.off() || s == "vision" },
				"attention_bias":              value.off,
			},
		},
	})
}

// windows are layers of which some have a window.
var windows = mixers{"full_attention": newGrouped, "sliding_attention": newGrouped}

// gemmaAttention: scores have no scale, and values are normalized without weights.
func gemmaAttention(s *site, g *grouped) {
	g.scale, g.vNorm = 1, bare(g.valueSize, eps(s.c))
}

// gemmaFactors multiplies embeddings by √hidden.
func gemmaFactors(c *model.Config, f *factors) {
	f.embedding = float32(math.Sqrt(float64(c.HiddenSize)))
}

// gemmaRouter reads the hidden states with a norm of its own, and weighs each expert once
// more.
func gemmaRouter(s *site, r *router) {
	at := key{role: model.RouterBias, layer: s.layer, part: "scale"}
	r.own = &norm{weight: s.vector(at, s.c.HiddenSize), eps: eps(s.c)}
	r.shrink = softmaxScale(s.c.HiddenSize)
	at.part = "per_expert_scale"
	r.scale = s.vector(at, s.c.NumExperts)
}

// gemmaLayer has norms on both sides of its blocks, experts beside a dense block, and a
// factor of the whole layer.
func gemmaLayer(s *site) ([]*block, error) {
	mix, err := s.mixer()
	if err != nil {
		return nil, err
	}
	norm := func(part string) *norm { return s.norm(part, s.c.HiddenSize, eps(s.c)) }
	end := scaled{sum{s.residual}, s.vector(key{role: model.Factor, layer: s.layer, part: "layer_scalar"}, 1)}
	attention := &block{norm: norm("input_layernorm"), mixer: mix, after: norm("post_attention_layernorm"), rule: s.add()}
	dense := &block{norm: norm("pre_feedforward_layernorm"), mixer: newMLP(s, model.DenseMLP, -1)}
	if !s.c.HasExperts(s.layer) {
		dense.after, dense.rule = norm("post_feedforward_layernorm"), end
		return []*block{attention, dense}, s.err
	}
	dense.after, dense.rule, dense.aside = norm("post_feedforward_layernorm_1"), s.add(), "dense"
	experts, err := newExperts(s)
	return []*block{
		attention, dense,
		{norm: norm("pre_feedforward_layernorm_2"), mixer: experts, after: norm("post_feedforward_layernorm_2"), with: "dense", joined: norm("post_feedforward_layernorm"), rule: end},
	}, err
}
