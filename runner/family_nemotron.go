package runner

import (
	"quern/formats/model"
)

// Nemotron-H: each layer is one block behind one norm. (Source: modeling file of
// nemotron_h in transformers 5.24.0.)
func init() {
	families["nemotron_h"] = family{
		mixers:  mixers{"mamba": newMamba, "attention": newGrouped, "mlp": newDense, "moe": newExperts},
		arrange: oneBlock, kind: blockType, still: true, ungated: true, router: sigmoidBiasTopK, biases: qkvo, biasField: "attention_bias",
		mtp: nemotronMTP,
		computes: set(`
			layers_block_type hybrid_override_pattern mtp_layers_block_type mtp_hybrid_override_pattern
			mamba_num_heads mamba_head_dim n_groups mamba_n_groups ssm_state_size conv_kernel mamba_d_conv use_conv_bias mamba_conv_bias
			time_step_min mamba_dt_min layer_norm_epsilon norm_eps moe_latent_size moe_shared_expert_intermediate_size attention_head_dim
			time_step_max time_step_floor time_step_rank time_step_limit mamba_dt_max mamba_dt_limit mamba_dt_init_floor mamba_chunk_size mamba_expand expand
			chunk_size mamba_ssm_cache_dtype use_mamba_kernels moe_shared_expert_overlap num_logits_to_keep
			rescale_prenorm_residual residual_in_fp32
		`),
		judges: map[string]func(v value) bool{
			"mlp_hidden_act":   func(v value) bool { _, ok := activations[v.cfg.HiddenAct]; return ok },
			"mamba_hidden_act": func(v value) bool { s, _ := v.Str(); return s == "silu" || s == "swish" },
			"mamba_proj_bias":  value.off,
			"use_bias":         value.off,
			"mlp_bias":         value.off,
			"sliding_window":   value.off,
		},
	}
}

// blockType is the only block of a layer.
func blockType(c *model.Config, layer int) string {
	return c.BlockType(layer)
}

// nemotronMTP lays out a step of multi-token prediction, which is several layers.
func nemotronMTP(s *site) (*mtp, error) {
	if len(s.c.MTPBlockTypes) == 0 {
		return nil, nil
	}
	t, err := nextn(s)
	if t == nil || err != nil {
		return nil, err
	}
	last := *s
	for range s.c.MTPBlockTypes[1:] {
		last.layer++
		l, err := last.lay()
		if err != nil {
			return nil, err
		}
		t.blocks = append(t.blocks, l.blocks...)
	}
	t.norm = last.width("final_layernorm")
	return t, s.err
}

// oneBlock is a mixer of any kind behind a norm.
func oneBlock(s *site) ([]*block, error) {
	mix, err := s.mixer()
	return []*block{{norm: s.norm("norm", s.c.HiddenSize, eps(s.c)), mixer: mix, rule: s.add()}}, err
}

// newDense is a feed-forward block for all tokens.
func newDense(s *site) (mixer, error) { return newMLP(s, model.DenseMLP, -1), s.err }
