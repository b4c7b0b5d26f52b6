package runner

import (
	"maps"
	"math"
)

// LongCat-Flash. (Source: modeling file of longcat_flash in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"longcat_flash": {
			latent: true, mixers: mixers{"full_attention": scaledLatent}, arrange: doubleLayer, biases: lora, biasField: "attention_bias",
			router:   softmaxBiasTopK,
			computes: set("zero_expert_num num_layers ffn_hidden_size expert_ffn_hidden_size moe_topk attention_method"),
			judges: map[string]func(v value) bool{
				"zero_expert_type":      func(v value) bool { s, _ := v.Str(); return s == "identity" || v.cfg.ZeroExperts == 0 },
				"mla_scale_q_lora":      value.on,
				"mla_scale_kv_lora":     value.on,
				"router_bias":           value.off,
				"norm_topk_prob":        value.off,
				"n_group":               func(v value) bool { return v.off() || v.one() },
				"topk_group":            func(v value) bool { return v.off() || v.one() },
				"first_k_dense_replace": value.off,
			},
		},
	})
}

// scaledLatent is latent attention whose queries and latents are multiplied by the root of
// how much wider the hidden states are.
func scaledLatent(s *site) (mixer, error) {
	m, err := newLatent(s)
	if err != nil {
		return nil, err
	}
	a, wider := m.(*latent), func(rank int) float32 { return float32(math.Sqrt(float64(s.c.HiddenSize) / float64(rank))) }
	if s.c.QLoraRank > 0 {
		a.scale *= wider(s.c.QLoraRank)
	}
	a.kvNorm.weight.times = wider(a.rank)
	return a, nil
}

// doubleLayer has two attentions and two dense blocks, and experts beside all but the
// first, which join at the end.
func doubleLayer(s *site) ([]*block, error) {
	if s.behind() { // that of multi-token prediction is like those of others
		return sequential(s)
	}
	var mix, dense [2]mixer
	var before, behind [2]*norm
	for i := range 2 {
		half := *s
		half.piece = i
		var err error
		if mix[i], err = half.mixer(); err != nil {
			return nil, err
		}
		if dense[i], err = newDense(&half); err != nil {
			return nil, err
		}
		before[i], behind[i] = half.norm("input_layernorm", s.c.HiddenSize, eps(s.c)), half.norm("post_attention_layernorm", s.c.HiddenSize, eps(s.c))
	}
	routed, err := newExperts(s)
	const shortcut = "experts beside the layer"
	return []*block{
		{norm: before[0], mixer: mix[0], rule: s.add()},
		{norm: behind[0], mixer: routed, rule: s.add(), aside: shortcut},
		{norm: behind[0], mixer: dense[0], rule: s.add()},
		{norm: before[1], mixer: mix[1], rule: s.add()},
		{norm: behind[1], mixer: dense[1], with: shortcut, rule: s.add()},
	}, err
}
