package runner

import (
	"errors"
	"strings"
	"testing"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// What released checkpoints of the families write into their configs, beside sizes, is
// neither refused nor remarked.
func TestReleasedFields(t *testing.T) {
	const saved = `"architectures": ["X"], "torch_dtype": "bfloat16", "transformers_version": "4.51.0", "use_cache": true, "initializer_range": 0.02, "attention_dropout": 0.0, "bos_token_id": 0, "eos_token_id": [1, 2], "pad_token_id": null, "tie_word_embeddings": false, "rms_norm_eps": 1e-05, "max_position_embeddings": 40960, "hidden_act": "silu", "rope_theta": 1000000.0, `
	for name, fields := range map[string]string{
		"llama":         `"model_type": "llama", "attention_bias": false, "mlp_bias": false, "pretraining_tp": 1, "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}`,
		"mistral":       `"model_type": "mistral", "sliding_window": 4096`,
		"mixtral":       `"model_type": "mixtral", "sliding_window": null, "num_local_experts": 8, "num_experts_per_tok": 2, "output_router_logits": false, "router_aux_loss_coef": 0.02, "router_jitter_noise": 0.0`,
		"qwen2":         `"model_type": "qwen2", "max_window_layers": 28, "sliding_window": 131072, "use_sliding_window": false, "use_mrope": false`,
		"qwen2, v5":     `"model_type": "qwen2", "num_hidden_layers": 2, "sliding_window": 64, "use_sliding_window": true, "layer_types": ["full_attention", "sliding_attention"], "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}`,
		"qwen3":         `"model_type": "qwen3", "attention_bias": false, "max_window_layers": 36, "rope_scaling": null, "sliding_window": null, "use_sliding_window": false`,
		"qwen2_moe":     `"model_type": "qwen2_moe", "qkv_bias": true, "decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": false, "shared_expert_intermediate_size": 5632, "num_experts": 60, "router_aux_loss_coef": 0.001`,
		"qwen3_moe":     `"model_type": "qwen3_moe", "decoder_sparse_step": 1, "mlp_only_layers": [0], "norm_topk_prob": true, "use_qk_norm": true, "shared_expert_intermediate_size": 0, "max_window_layers": 48, "use_sliding_window": false, "sliding_window": null`,
		"minimax_m2":    `"model_type": "minimax_m2", "num_hidden_layers": 3, "attn_type_list": [1, 1, 1], "qk_norm_type": "per_layer", "use_qk_norm": true, "use_routing_bias": true, "use_mtp": true, "num_mtp_modules": 3, "mtp_transformer_layers": 1, "rotary_dim": 64, "head_dim": 128, "scoring_func": "sigmoid", "shared_intermediate_size": 0, "auto_map": {}`,
		"glm4_moe":      `"model_type": "glm4_moe", "attention_bias": true, "partial_rotary_factor": 0.5, "use_qk_norm": true, "n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.5, "first_k_dense_replace": 3, "norm_topk_prob": true, "num_nextn_predict_layers": 1, "n_shared_experts": 1`,
		"glm4_moe_lite": `"model_type": "glm4_moe_lite", "partial_rotary_factor": 1.0, "topk_method": "noaux_tc", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.8, "kv_lora_rank": 512, "num_nextn_predict_layers": 1`,
		"deepseek_v2":   `"model_type": "deepseek_v2", "topk_method": "group_limited_greedy", "scoring_func": "softmax", "n_group": 8, "topk_group": 3, "routed_scaling_factor": 16.0, "norm_topk_prob": false, "moe_layer_freq": 1, "seq_aux": true, "aux_loss_alpha": 0.001, "ep_size": 1, "kv_lora_rank": 512, "rope_scaling": {"type": "yarn", "factor": 40, "mscale": 0.707, "mscale_all_dim": 0.707, "beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings": 4096}`,
		"deepseek_v3":   `"model_type": "deepseek_v3", "topk_method": "noaux_tc", "scoring_func": "sigmoid", "n_group": 8, "topk_group": 4, "routed_scaling_factor": 2.5, "norm_topk_prob": true, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "qk_head_dim": 192, "rope_interleave": true, "num_nextn_predict_layers": 1, "quantization_config": {"quant_method": "fp8"}`,
		"kimi_k25":      `"model_type": "kimi_k25", "vision_config": {"patch_size": 14}, "media_placeholder_token_id": 9, "ignore_index": -100, "use_unified_vision_chunk": true, "text_config": {"model_type": "kimi_k2", "topk_method": "noaux_tc", "n_group": 1, "topk_group": 1, "is_encoder_decoder": false, "add_cross_attention": false, "temperature": 1.0, "hidden_act": "silu"}`,
		"gpt_oss":       `"model_type": "gpt_oss", "attention_bias": true, "experts_per_token": 4, "num_experts_per_tok": 4, "initial_context_length": 4096, "layer_types": ["sliding_attention", "full_attention"], "num_hidden_layers": 2, "sliding_window": 128, "swiglu_limit": 7.0, "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": false, "original_max_position_embeddings": 4096}`,
		"gemma4":        `"model_type": "gemma4", "audio_token_id": 9, "vision_soft_tokens_per_image": 280, "text_config": {"model_type": "gemma4_text", "num_hidden_layers": 6, "hidden_activation": "gelu_pytorch_tanh", "attention_k_eq_v": true, "global_head_dim": 512, "num_global_key_value_heads": 2, "head_dim": 256, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0, "enable_moe_block": true, "num_experts": 128, "top_k_experts": 8, "final_logit_softcapping": 30.0, "use_bidirectional_attention": "vision", "use_double_wide_mlp": false, "sliding_window": 1024, "vocab_size_per_layer_input": 262144}`,
		"llama4":        `"model_type": "llama4", "boi_token_index": 9, "text_config": {"model_type": "llama4_text", "num_hidden_layers": 4, "attention_chunk_size": 8192, "head_dim": 128, "interleave_moe_layer_step": 1, "intermediate_size_mlp": 16384, "num_local_experts": 16, "num_experts_per_tok": 1, "use_qk_norm": true, "rope_scaling": {"factor": 16.0, "high_freq_factor": 1.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}}`,
		"mimo_v2_flash": `"model_type": "mimo_v2_flash", "num_hidden_layers": 2, "hybrid_layer_pattern": [0, 1], "moe_layer_freq": [0, 1], "head_dim": 192, "v_head_dim": 128, "layernorm_epsilon": 1e-05, "swa_rope_theta": 10000, "partial_rotary_factor": 0.334, "sliding_window": 128, "sliding_window_size": 128, "attention_chunk_size": 128, "swa_num_attention_heads": 64, "swa_num_key_value_heads": 8, "swa_head_dim": 192, "swa_v_head_dim": 128, "n_group": 1, "topk_group": 1, "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": true, "attention_value_scale": 0.707, "add_swa_attention_sink_bias": true, "add_full_attention_sink_bias": false`,
		"ernie4_5_moe":  `"model_type": "ernie4_5_moe", "moe_k": 6, "moe_num_experts": 64, "moe_num_shared_experts": 2, "moe_layer_start_index": 1, "moe_layer_end_index": -1, "moe_layer_interval": 1, "moe_norm_min": 1e-12, "use_bias": false`,
		"olmoe":         `"model_type": "olmoe", "clip_qkv": null, "num_experts": 64, "num_experts_per_tok": 8, "norm_topk_prob": false`,
		"phimoe":        `"model_type": "phimoe", "num_local_experts": 16, "sliding_window": 2047, "attention_bias": true, "lm_head_bias": true, "input_jitter_noise": 0.01, "router_jitter_noise": 0.01, "rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0], "short_mscale": 1.243, "long_mscale": 1.243, "original_max_position_embeddings": 4096}`,
		"granitemoe":    `"model_type": "granitemoe", "num_local_experts": 32, "attention_multiplier": 0.015625, "embedding_multiplier": 12.0, "logits_scaling": 6.0, "residual_multiplier": 0.22`,
		"hunyuan":       `"model_type": "hunyuan_v1_moe", "num_experts": 64, "moe_topk": [8, 8], "num_shared_expert": [1, 1], "use_cla": false, "use_mla": false, "use_qk_norm": true, "use_mixed_mlp_moe": true, "norm_type": "rms", "moe_drop_tokens": false, "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0}`,
		"hy_v3":         `"model_type": "hy_v3", "num_experts": 192, "num_shared_experts": 1, "first_k_dense_replace": 1, "router_scaling_factor": 2.826, "route_norm": true, "qk_norm": true, "moe_router_use_sigmoid": true, "moe_router_enable_expert_bias": true, "enable_moe_fp32_combine": true, "num_nextn_predict_layers": 1`,
		"dots1":         `"model_type": "dots1", "n_routed_experts": 128, "n_shared_experts": 2, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": true, "routed_scaling_factor": 2.5, "scoring_func": "noaux_tc", "max_window_layers": 62, "sliding_window": null, "moe_layer_freq": 1`,
		"solar_open":    `"model_type": "solar_open", "n_routed_experts": 128, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": true, "routed_scaling_factor": 1.0, "partial_rotary_factor": 1.0`,
		"exaone_moe":    `"model_type": "exaone_moe", "num_hidden_layers": 4, "num_experts": 128, "sliding_window": 128, "sliding_window_pattern": "LLLG", "first_k_dense_replace": 1, "is_moe_layer": [false, true, true, true], "scoring_func": "sigmoid", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.5`,
		"afmoe":         `"model_type": "afmoe", "num_hidden_layers": 4, "num_experts": 128, "global_attn_every_n_layers": 4, "mup_enabled": true, "num_dense_layers": 2, "route_scale": 2.826, "route_norm": true, "score_func": "sigmoid", "n_group": 1, "topk_group": 1, "num_expert_groups": 1, "num_limited_groups": 1, "load_balance_coeff": 0.001, "sliding_window": 2048`,
		"laguna":        `"model_type": "laguna", "num_hidden_layers": 2, "num_experts": 256, "gating": true, "num_attention_heads_per_layer": [48, 64], "moe_routed_scaling_factor": 2.5, "moe_router_logit_softcapping": 0.0, "moe_apply_router_weight_on_input": false, "layer_types": ["full_attention", "sliding_attention"], "sliding_window": 512`,
		"cohere2_moe":   `"model_type": "cohere2_moe", "num_hidden_layers": 2, "num_experts": 8, "layer_norm_eps": 1e-05, "logit_scale": 0.25, "expert_selection_fn": "sigmoid", "shared_expert_combination_strategy": "average", "num_shared_experts": 1, "first_k_dense_replace": 1, "sliding_window": 4096, "sliding_window_pattern": 4, "prefix_dense_sliding_window_pattern": 1`,
	} {
		v, err := strictjson.Parse([]byte("{"+saved+fields+"}"), strictjson.Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		c, err := model.ParseConfig(&v)
		if err != nil {
			t.Fatal(name, err)
		}
		a := model.Lookup(c)
		fam, known := families[a.Name()]
		if remarks, err := lookAt(a.Name(), &fam, c); !known || err != nil || len(remarks) > 0 {
			t.Errorf("%s: %v %v", name, remarks, err)
		}
		if err := Supported(a); err != nil {
			t.Error(err)
		}
	}
}

// A value with which the function is another one is refused, by the name of its field.
func TestRefusedFields(t *testing.T) {
	for _, x := range []struct{ family, field, value string }{
		{"gemma4_text", "hidden_size_per_layer_input", "256"},
		{"gemma4_text", "num_kv_shared_layers", "2"},
		{"gemma4_text", "use_bidirectional_attention", `"all"`},
		{"gemma4_text", "use_double_wide_mlp", "true"},
		{"gemma4_text", "layer_types", `["mystery", "full_attention"]`},
		{"llama4_text", "layer_types", `["sliding_attention", "full_attention"]`},
		{"mimo_v2_flash", "layer_types", `["linear_attention", "full_attention"]`},
		{"ernie4_5_moe", "use_bias", "true"},
		{"olmoe", "layer_types", `["sliding_attention", "full_attention"]`},
		{"phimoe", "scoring_func", `"sigmoid"`},
		{"granitemoe", "n_group", "4"},
		{"hunyuan_v1_moe", "use_cla", "true"},
		{"hy_v3", "route_norm", "false"},
		{"hy_v3", "n_group", "2"},
		{"dots1", "topk_method", `"greedy"`},
		{"solar_open", "partial_rotary_factor", "0.5"},
		{"exaone_moe", "scoring_func", `"softmax"`},
		{"afmoe", "score_func", `"softmax"`},
		{"afmoe", "num_expert_groups", "4"},
		{"laguna", "moe_apply_router_weight_on_input", "true"},
		{"cohere2_moe", "expert_selection_fn", `"hash"`},
		{"cohere2_moe", "shared_expert_combination_strategy", `"max"`},
	} {
		v, err := strictjson.Parse([]byte(`{"model_type": "`+x.family+`", "num_hidden_layers": 2, "`+x.field+`": `+x.value+`}`), strictjson.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := model.ParseConfig(&v)
		if err != nil {
			t.Fatal(err)
		}
		if err := Supported(model.Lookup(c)); !errors.Is(err, invalid.Input) || !strings.Contains(err.Error(), x.field) {
			t.Errorf("%s: %s %s: %v", x.family, x.field, x.value, err)
		}
	}
}
