package runner

import "maps"

// Models with Kimi's delta attention in most layers. (Sources: modeling files of
// kimi_linear, bailing_hybrid and glm5_next in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"kimi_linear": {
			latent: true, still: true, mixers: mixers{"linear_attention": newKimiDelta, "full_attention": newLatent}, biases: lora, biasField: "attention_bias",
			router: sigmoidBiasTopK, computes: kimiFields, judges: kimiJudges,
		},
		"bailing_hybrid": {
			latent: true, mixers: mixers{"linear_attention": newKimiDelta, "full_attention": newLatent}, biases: lora, biasField: "attention_bias",
			router: sigmoidBiasTopK, computes: kimiFields, judges: kimiJudges,
		},
		"glm5_next": {
			latent: true, still: true, ownEps: true, limited: true, biases: lora, biasField: "attention_bias",
			mixers:  mixers{"linear_attention": newKimiDelta, "full_attention": newPooledLatent, "indexed_attention": newPooledLatent},
			arrange: connected, frame: newCopies, mtp: alone, router: sigmoidBiasTopK,
			computes: join(kimiFields, indexerFields, set("index_kpool hc_mult hc_eps hc_sinkhorn_iters swiglu_limit head_dim qk_head_dim")),
			judges: map[string]func(v value) bool{
				"index_kpool_always_select_tail": value.on,
				"indexer_types":                  indexerRope(false)["indexer_types"],
			},
		},
	})
}

// newPooledLatent is latent attention over keys that a pooling indexer chooses.
func newPooledLatent(s *site) (mixer, error) {
	m, err := newLatent(s)
	if err != nil {
		return nil, err
	}
	a := m.(*latent)
	a.keys, err = s.pooledSelection()
	return a, err
}

var (
	// kimiFields are read by formats/model.
	kimiFields = set(`
		linear_attn_config linear_head_dim linear_num_heads linear_conv_kernel_dim short_conv_kernel_size layer_group_size
		kda_lower_bound kda_safe_gate linear_lower_bound
		num_experts_per_token num_expert_group moe_renormalize use_grouped_topk model_max_length mtp_loss_scaling_factor
	`)
	kimiJudges = map[string]func(v value) bool{
		"mla_use_nope": func(v value) bool { return v.on() == v.fam.still },
		"moe_router_activation_func": func(v value) bool {
			s, _ := v.Str()
			return s == v.fam.routing().scoring
		},
	}
)
