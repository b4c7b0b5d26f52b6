package runner

import (
	"fmt"
	"slices"
	"strings"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// A field of config.json belongs to one of three kinds: what this package computes with
// or has no bearing on logits (quiet), what makes another function unless it has
// certain values (fields), and what nobody here has looked at, which is remarked.

// value is a field of a config with what it is judged by.
type value struct {
	fam *family
	cfg *model.Config
	*strictjson.Value
}

// fields are those that change the function: each says whether the function with this
// value is the one that is computed. Sources: the configuration and modeling files of
// transformers 5 for the families of family.go.
var fields = map[string]func(v value) bool{
	"hidden_act": func(v value) bool {
		_, ok := activations[v.cfg.HiddenAct]
		return ok
	},
	"hidden_activation": func(v value) bool { s, ok := v.Str(); a, known := activations[s]; return ok && known && a == nil },

	// Attention.
	"use_mrope": value.off,
	"use_sliding_window": func(v value) bool {
		on, _ := v.Bool()
		// With layer_types that says it, and without nothing but the default does.
		return !on || v.fam.layerTypes && (len(v.cfg.LayerTypes) > 0 || v.cfg.SlidingWindow == 0 || maxWindowLayers(v.cfg) >= v.cfg.NumHiddenLayers)
	},
	// Where a family has windows they are computed; llama and latent attention have none
	// whatever it says.
	"sliding_window": func(value) bool { return true },
	"layer_types": func(v value) bool {
		for i := range v.cfg.NumHiddenLayers {
			switch t := v.cfg.LayerType(i); {
			case t == "full_attention", v.fam.mixers[t] != nil:
			case t == "sliding_attention" && (v.fam.layerTypes || v.fam.allWindow):
			default:
				return false
			}
		}
		return true
	},
	"full_attention_interval":      value.off,
	"attn_type_list":               value.ones, // 0 is linear attention
	"attention_chunk_size":         value.off,
	"no_rope_layers":               value.off,
	"no_rope_layer_interval":       value.off,
	"attn_temperature_tuning":      value.off,
	"attn_output_gate":             value.off,
	"use_head_wise_attn_gate":      value.off,
	"attention_value_scale":        value.one,
	"attention_multiplier":         value.off,
	"query_pre_attn_scalar":        func(v value) bool { n, ok := v.Float64(); return ok && !v.fam.latent && n == float64(v.cfg.HeadDim) },
	"attn_logit_softcapping":       value.off,
	"attn_logit_softcap":           value.off,
	"clip_qkv":                     value.off,
	"qk_norm_type":                 func(v value) bool { s, _ := v.Str(); return v.off() || v.fam.wideNorm && s == "per_layer" },
	"add_swa_attention_sink_bias":  value.off,
	"add_full_attention_sink_bias": value.off,
	"index_topk":                   value.off,
	"index_n_heads":                value.off,
	"index_head_dim":               value.off,
	"qk_head_dim":                  func(v value) bool { n, _ := v.Int64(); return !v.fam.latent || int(n) == v.cfg.QKHeadDim() },
	"rope_interleave": func(v value) bool {
		on, _ := v.Bool()
		return v.fam.latent || !on
	},
	"partial_rotary_factor":   value.one,
	"rotary_dim":              func(v value) bool { n, _ := v.Int64(); return int(n) == v.cfg.HeadDim },
	"position_embedding_type": func(v value) bool { s, _ := v.Str(); return s == "rope" || s == "rotary" },

	// Feed-forward blocks and routers.
	"swiglu_limit":  value.off,
	"swiglu_limits": value.off,
	"swiglu_alpha":  value.off,
	"scoring_func": func(v value) bool {
		s, _ := v.Str()
		return s == v.fam.routing().scoring
	},
	"topk_method": func(v value) bool {
		s, _ := v.Str()
		return slices.Contains(v.fam.routing().methods, s)
	},
	"n_group":               func(v value) bool { return v.grouped() || v.one() || v.off() },
	"topk_group":            func(v value) bool { return v.grouped() || v.one() || v.off() },
	"routed_scaling_factor": func(v value) bool { return v.scaled() || v.one() },
	"norm_topk_prob": func(v value) bool {
		on, _ := v.Bool()
		return on || !v.fam.normalized
	},
	"first_k_dense_replace":        func(v value) bool { return v.scaled() || v.off() },
	"decoder_sparse_step":          func(v value) bool { return v.one() || v.off() },
	"mlp_only_layers":              value.off,
	"use_routing_bias":             value.on,
	"use_expert_bias":              func(v value) bool { on, _ := v.Bool(); return on && v.fam.routing().corrected },
	"moe_router_logit_softcapping": value.off,
	"router_logit_softcapping":     value.off,
	"zero_expert_num":              value.off,
	"moe_latent_size":              value.off,
	"routed_expert_hidden_size":    value.off,

	// Around the layers.
	"final_logit_softcapping": value.off,
	"logit_softcap":           value.off,
	"logits_scaling":          value.one,
	"logit_scale":             value.one,
	"embedding_multiplier":    value.one,
	"residual_multiplier":     value.one,
	"lm_head_multiplier":      value.one,
	"scale_emb":               value.one,
	"scale_depth":             value.off,
	"dim_model_base":          value.off,
	"hc_mult":                 func(v value) bool { return v.off() || v.one() },
	"num_hash_layers":         value.off,
	"attn_res_block_size":     value.off,
	"num_residual_streams":    func(v value) bool { return v.off() || v.one() },
	"use_post_norm":           value.off,
	"parallel_attn":           value.off,
	"use_parallel_residual":   value.off,
	"norm_type":               func(v value) bool { s, _ := v.Str(); return s == "rmsnorm" || s == "rms" || s == "rms_norm" },
	"is_encoder_decoder":      value.off,
	"add_cross_attention":     value.off,
}

// quiet are the fields that are read (by formats/model), and those without a bearing on
// the logits of a text.
var quiet = set(`
	model_type architectures auto_map dtype torch_dtype transformers_version _name_or_path name_or_path _commit_hash
	text_config language_config llm_config vision_config audio_config quantization_config compression_config
	hidden_size intermediate_size num_hidden_layers vocab_size max_position_embeddings rms_norm_eps tie_word_embeddings
	num_attention_heads num_key_value_heads head_dim attention_bias qkv_bias mlp_bias use_qk_norm max_window_layers
	q_lora_rank kv_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim
	rope_theta rope_scaling rope_parameters original_max_position_embeddings initial_context_length
	n_routed_experts num_experts num_local_experts moe_num_experts num_experts_per_tok experts_per_token n_shared_experts num_shared_experts
	moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size moe_layer_freq mlp_layer_types
	num_nextn_predict_layers mtp_num_hidden_layers num_mtp_layers num_mtp_modules use_mtp mtp_transformer_layers
	bos_token_id eos_token_id pad_token_id sep_token_id cls_token_id unk_token_id decoder_start_token_id forced_bos_token_id forced_eos_token_id
	image_token_id image_token_index video_token_id vision_start_token_id vision_end_token_id media_placeholder_token_id video_placeholder use_unified_vision_chunk ignore_index
	initializer_range initializer_factor attention_dropout hidden_dropout hidden_dropout_prob attention_probs_dropout_prob resid_pdrop embd_pdrop attn_pdrop classifier_dropout dropout
	router_aux_loss_coef aux_loss_alpha seq_aux router_jitter_noise output_router_logits router_z_loss_coef ep_size pretraining_tp
	use_cache cache_implementation gradient_checkpointing _attn_implementation attn_implementation use_flash_attn use_bfloat16 torchscript tokenizer_class
	output_attentions output_hidden_states output_scores return_dict return_dict_in_generate chunk_size_feed_forward pruned_heads tie_encoder_decoder is_decoder
	id2label label2id num_labels problem_type finetuning_task task_specific_params prefix tf_legacy_loss cross_attention_hidden_size
	max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty
	no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens
	audio_token_id boa_token_id boi_token_id boi_token_index eoa_token_id eoa_token_index eoi_token_id eoi_token_index vision_soft_tokens_per_image
	indexer_rope_interleave unsloth_version unsloth_fixed _attn_implementation_autoset is_causal
`)

// ropeKeys are those of rope_scaling and rope_parameters that are read, and those that
// change nothing for text.
var ropeKeys = set(`
	rope_theta rope_type type factor original_max_position_embeddings beta_fast beta_slow mscale mscale_all_dim low_freq_factor high_freq_factor
	attention_factor partial_rotary_factor truncate mrope_section mrope_interleaved
	alpha short_factor long_factor short_mscale long_mscale llama_4_scaling_beta
`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// lookAt goes through the fields of a config: an error for one with which the function
// is another one, a remark that names those that nobody has looked at.
func lookAt(name string, fam *family, c *model.Config) ([]string, error) {
	var unknown []string
	for key, x := range c.Fields() {
		v := value{fam, c, x}
		fits, ok := fam.judges[key]
		if !ok {
			fits, ok = fields[key]
		}
		if ok {
			if !fam.computes[key] && !fits(v) {
				return nil, invalid.Errorf("config.json: %q is %s, which the runner does not compute for %s: its figures would be those of another model", key, v.text(), name)
			}
			continue
		}
		switch {
		case key == "rope_scaling" || key == "rope_parameters":
			unknown = append(unknown, strangeRope(key, x)...)
		case !quiet[key] && !fam.computes[key]:
			unknown = append(unknown, key)
		}
	}
	if len(unknown) == 0 {
		return nil, nil
	}
	slices.Sort(unknown)
	return []string{fmt.Sprintf("config.json: nobody has looked at what these fields would change: %s", strings.Join(unknown, ", "))}, nil
}

// strangeRope lists the keys of a rope that are not known, of one for all layers or of
// one a layer type.
func strangeRope(key string, x *strictjson.Value) []string {
	var out []string
	for i := range x.Members {
		m := &x.Members[i]
		switch {
		case m.Value.Kind == strictjson.KindObject:
			out = append(out, strangeRope(key+"."+m.Key, &m.Value)...)
		case m.Value.Kind != strictjson.KindNull && !ropeKeys[m.Key]:
			out = append(out, key+"."+m.Key)
		}
	}
	return out
}

// off reports whether a field is switched off: false, 0, "" or empty.
func (v value) off() bool {
	if b, ok := v.Bool(); ok {
		return !b
	}
	if n, ok := v.Float64(); ok {
		return n == 0
	}
	if s, ok := v.Str(); ok {
		return s == "" || s == "none"
	}
	return len(v.Elems) == 0 && len(v.Members) == 0
}

// one reports whether a factor changes nothing.
func (v value) one() bool { n, ok := v.Float64(); return ok && n == 1 }

// ones reports whether a list has nothing but ones.
func (v value) ones() bool {
	return !slices.ContainsFunc(v.Elems, func(e strictjson.Value) bool { n, ok := e.Int64(); return !ok || n != 1 })
}

// on reports whether a field is true.
func (v value) on() bool { on, _ := v.Bool(); return on }

// grouped reports whether experts are chosen within groups.
func (v value) grouped() bool { return v.fam.routing().grouped && !v.fam.normalized }

// scaled reports whether the weights of experts have a factor, which goes with dense
// layers in front: DeepSeek and GLM.
func (v value) scaled() bool { return v.grouped() }

// routing is that of the router, of no router one that does nothing.
func (f *family) routing() *routers {
	if f.router == nil {
		return &routers{methods: []string{"greedy"}}
	}
	return f.router
}

// text is v in a line.
func (v value) text() string {
	s := strings.Join(strings.Fields(string(v.Indent(" "))), " ")
	if len(s) > 80 {
		return s[:77] + "…"
	}
	return s
}

// maxWindowLayers is the number of layers in front that have no window.
func maxWindowLayers(c *model.Config) int {
	for key, v := range c.Fields() {
		if n, ok := v.Int64(); key == "max_window_layers" && ok {
			return int(n)
		}
	}
	return 0
}
