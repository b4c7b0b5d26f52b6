package runner

import (
	"testing"

	"quern/formats/model"
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
