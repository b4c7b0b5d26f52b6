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
	})
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
