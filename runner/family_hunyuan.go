package runner

import (
	"maps"
)

// Hunyuan 4. (Source: modeling file of hy_v4 in transformers 5.24.0.)
func init() {
	lay := func(s *site) (mixer, error) {
		m, err := newLatent(s)
		if err != nil {
			return nil, err
		}
		a := m.(*latent)
		a.keys, err = s.selection(a.rope, false, true, eps(s.c))
		return a, err
	}
	maps.Copy(families, map[string]family{
		"hy_v4": {
			latent: true, halves: true, mixers: indexedLayers(lay), biases: lora, biasField: "attention_bias",
			router: sigmoidBiasTopK, limitedExperts: true, arrange: connected, frame: newHeaded, mtp: alone,
			computes: join(indexerFields, set("hc_mult hc_eps hc_magnitude swiglu_limit learnable_sink_init")), judges: hunyuanJudges(),
		},
	})
}

func hunyuanJudges() map[string]func(v value) bool {
	judges := indexerRope(false)
	judges["hc_sinkhorn_iters"] = value.off // streams do not mix
	judges["rope_interleave"] = value.off
	judges["hidden_act"] = func(v value) bool { return activations[v.cfg.HiddenAct] == nil } // the clamped one is SiLU
	return judges
}
