package runner

import (
	"maps"

	"quern/formats/model"
	"quern/runner/routing"
)

// Cohere's models. (Source: modeling file of cohere2_moe in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"cohere2_moe": {
			mixers: windows, layerTypes: true, biases: qkvo, biasField: "attention_bias", normOf: cohereNorm, manner: manner{pairs: true, rotates: cohereRotates},
			arrange: parallel, router: topKSoftmax, routes: cohereRouter, factors: cohereFactors,
			computes: set(`
				logit_scale layer_norm_eps first_k_dense_replace norm_topk_prob
				prefix_dense_intermediate_size prefix_dense_sliding_window_pattern sliding_window_pattern
			`),
			judges: map[string]func(v value) bool{
				"expert_selection_fn":                func(v value) bool { s, _ := v.Str(); return s == "softmax" || s == "sigmoid" },
				"shared_expert_combination_strategy": func(v value) bool { s, _ := v.Str(); return s == "sum" || s == "average" },
			},
		},
	})
}

// cohereNorm: RMS norms where the config has an epsilon for them.
func cohereNorm(c *model.Config) normKind {
	if c.Has("rms_norm_eps") {
		return rootMeanSquare
	}
	return layerNorm
}

// cohereRotates: layers with a window have positions, and dense ones in front if all of
// those would have none.
func cohereRotates(s *site) bool {
	return s.kind() == "sliding_attention" && s.c.SlidingWindow > 0 || !s.c.HasExperts(s.layer) && s.number("prefix_dense_sliding_window_pattern", 1) == 1
}

// cohereFactors scales logits also where the config does not say by how much.
func cohereFactors(c *model.Config, f *factors) {
	if !c.Has("logit_scale") {
		f.logits = 0.0625
	}
}

// cohereRouter takes softmax or sigmoid of the chosen logits.
func cohereRouter(s *site, r *router) {
	if s.c.ScoringFunc == "sigmoid" {
		r.Chosen, r.Normalize = routing.Sigmoid, s.c.NormTopKProb || !s.c.Has("norm_topk_prob")
	}
	if s.averages() {
		r.Factor = 0.5
	}
}

// averages reports whether a block gives the mean of routed sum and shared experts.
func (s *site) averages() bool {
	for key, v := range s.c.Fields() {
		if how, ok := v.Str(); ok && key == "shared_expert_combination_strategy" {
			return how == "average" && s.c.NumSharedExperts > 0
		}
	}
	return s.c.NumSharedExperts > 0
}

// parallel is attention and a feed-forward block side by side, behind one norm.
func parallel(s *site) ([]*block, error) {
	mix, err := s.mixer()
	if err != nil {
		return nil, err
	}
	feed, err := s.feedForward()
	if x, ok := feed.(*experts); ok {
		x.half = s.averages()
	}
	n := s.norm("input_layernorm", s.c.HiddenSize, eps(s.c))
	return []*block{
		{norm: n, mixer: mix, rule: s.add(), aside: "attention"},
		{norm: n, mixer: feed, rule: s.add(), with: "attention"},
	}, err
}
