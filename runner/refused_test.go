package runner_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/runner/golden"

	"quern/formats/hf"
	"quern/runner"
)

// changed is a copy of a golden with another config.json; fields that are nil are taken
// away.
func changed(t *testing.T, family string, change map[string]any) string {
	t.Helper()
	from, dir := golden.Folder(t, filepath.Join("testdata/models", family)), t.TempDir()
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if f.Name() == "config.json" {
			var c map[string]any
			if err := json.Unmarshal(data, &c); err != nil {
				t.Fatal(err)
			}
			part := c
			if text, ok := c["text_config"].(map[string]any); ok {
				part = text
			}
			for k, v := range change {
				if part[k] = v; v == nil {
					delete(part, k)
				}
			}
			if data, err = json.Marshal(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name()), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func openChanged(t *testing.T, family string, change map[string]any) error {
	t.Helper()
	c, err := hf.Open(changed(t, family, change))
	if err != nil {
		return err
	}
	m, err := runner.Open(c, nil)
	if err == nil {
		m.Close()
	}
	return err
}

// Values of a config with which the function is another one are refused by name.
func TestRefusedFields(t *testing.T) {
	for _, x := range []struct {
		family string
		field  string
		value  any
		words  string // "" is the field
	}{
		{"qwen3_next", "layer_types", []string{"linear_attention", "mystery", "linear_attention", "full_attention"}, ""},
		{"qwen3_next", "attn_output_gate", false, ""},
		{"qwen3_next", "linear_num_key_heads", 3, "linear_attn"},
		{"qwen3_next", "linear_conv_kernel_dim", 0, "convolution of 0"},
		{"qwen3_5_moe", "norm_topk_prob", false, ""},
		{"qwen3_5_moe", "hidden_act", "mystery", ""},
		{"qwen3_5_moe", "use_sliding_window", true, ""},
		{"qwen3_5_moe", "moe_intermediate_size", 16, "experts"},
		{"kimi_linear", "mla_use_nope", false, ""},
		{"kimi_linear", "moe_router_activation_func", "softmax", ""},
		{"kimi_linear", "layer_types", []string{"linear_attention", "linear_attention", "linear_attention", "sliding_attention"}, ""},
		{"bailing_hybrid", "topk_group", 2, "topk_group"},
		{"glm5_next", "index_kpool_always_select_tail", false, ""},
		{"glm5_next", "indexer_types", []string{"full", "full", "full", "shared"}, "indexer"},
		{"glm5_next", "indexer_types", []string{"full", "full", "full", "mystery"}, ""},
		{"glm5_next", "index_topk", 6, "6 keys in pools of 4"},
		{"glm5_next", "index_kpool", 2, "index_kpool_compress_ape"},
		{"glm5_next", "hc_mult", 3, "hc_attn_"},
		{"nemotron_h", "layers_block_type", []string{"linear_attention", "moe", "full_attention", "mystery"}, ""},
		{"nemotron_h", "mamba_hidden_act", "gelu", ""},
		{"nemotron_h", "mlp_hidden_act", "mystery", ""},
		{"nemotron_h", "use_bias", true, ""},
		{"nemotron_h", "sliding_window", 4, ""},
		{"nemotron_h", "moe_latent_size", 16, "latent"},
		{"qwen3_vl_moe", "norm_topk_prob", false, ""},
		{"qwen4_exp", "output_gate_type", "sigmoid", ""},
		{"qwen4_exp", "indexer_budget", 6, "6 keys in pools of 4"},
		{"qwen4_exp", "hc_count", 3, "hc_norm"},
		{"qwen4_exp", "ngram_size", 4, "layer_multipliers"},
	} {
		if x.words == "" {
			x.words = x.field
		}
		err := openChanged(t, x.family, map[string]any{x.field: x.value})
		if !blames(err, x.words) || err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s with %s %v: %v", x.family, x.field, x.value, err)
		}
	}
}

// Configs in older spellings, and without what has a default, are those of the goldens.
func TestOlderConfigs(t *testing.T) {
	for family, change := range map[string]map[string]any{
		"qwen3_next":  {"layer_types": nil, "rope_parameters": nil, "rope_theta": 10000.0, "norm_topk_prob": nil},
		"qwen3_5_moe": {"layer_types": nil, "full_attention_interval": 4, "norm_topk_prob": nil, "rope_parameters": nil, "rope_theta": 10000.0, "partial_rotary_factor": 0.25},
		"kimi_linear": {
			"layer_types": nil, "mlp_layer_types": nil, "linear_head_dim": nil, "linear_num_heads": nil, "linear_conv_kernel_dim": nil, "moe_renormalize": nil,
			"linear_attn_config":         map[string]any{"full_attn_layers": []int{4}, "kda_layers": []int{1, 2, 3}, "head_dim": 16, "num_heads": 4, "short_conv_kernel_size": 4},
			"moe_router_activation_func": "sigmoid", "mla_use_nope": true,
		},
		"bailing_hybrid": {"layer_types": nil, "kda_lower_bound": nil, "kda_safe_gate": nil, "linear_conv_kernel_dim": nil},
		"glm5_next":      {"indexer_types": nil, "hc_sinkhorn_iters": nil, "hc_eps": nil, "swiglu_limit": nil, "linear_lower_bound": nil},
		"nemotron_h":     {"layers_block_type": nil, "hybrid_override_pattern": "ME*E", "num_hidden_layers": 4, "n_groups": nil, "mamba_n_groups": 2, "use_conv_bias": nil},
	} {
		t.Run(family, func(t *testing.T) {
			dir := changed(t, family, change)
			checkOutputs(t, dir, readReference(t, dir+"/reference.safetensors"), runner.Options{})
		})
	}
}
