package runner

import (
	"maps"
	"math"

	"quern/formats/model"
	"quern/internal/invalid"
)

// Single models of several vendors whose layers are attention and experts. (Sources:
// their modeling and configuration files in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"mimo": {mixers: groupedQueries, biases: qkv, biasField: "attention_bias", biasDefault: true, mtp: mimoMTP},
		"mimo_v2_flash": {
			mixers: windows, layerTypes: true, biases: qkv, biasField: "attention_bias", oddRotation: true, manner: manner{adapt: mimoAttention}, arrange: mimoLayer,
			router: sigmoidBiasTopK,
			computes: join(partialRotation, set(`
				attention_value_scale add_swa_attention_sink_bias add_full_attention_sink_bias hybrid_layer_pattern layernorm_epsilon
				sliding_window_size swa_rope_theta swa_num_attention_heads swa_num_key_value_heads swa_head_dim swa_v_head_dim
				attention_chunk_size
			`)), // the last is that of another kernel: windows are computed
		},
		"ernie4_5_moe": {
			mixers: groupedQueries, manner: manner{pairs: true}, router: softmaxBiasSum, routes: ernieRouter, mtp: ernieMTP,
			computes: set("moe_k moe_num_shared_experts moe_layer_start_index moe_layer_end_index moe_layer_interval moe_norm_min moe_use_aux_free"),
			judges:   map[string]func(v value) bool{"use_bias": value.off},
		},
		"olmoe": {
			mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", headNorm: always, wideNorm: true,
			manner: manner{adapt: clipped}, router: softmaxTopK, computes: set("clip_qkv"),
		},
		"phimoe": {
			mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", norms: layerNorm, allWindow: true, router: sparseMixer,
			computes: set("router_jitter_noise lm_head_bias"),
			// Noise of training alone, as that of the input.
			judges: map[string]func(v value) bool{"input_jitter_noise": func(value) bool { return true }},
		},
		"granitemoe": {
			mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", router: topKSoftmax,
			computes: set("embedding_multiplier attention_multiplier residual_multiplier logits_scaling"),
		},
		"hunyuan_v1_moe": {
			mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", manner: manner{late: true, adapt: hunyuanAttention},
			router: softmaxTopK, normalized: true, computes: set("moe_topk num_shared_expert eod_token_id im_start_id im_end_id im_newline_id text_start_id text_end_id"),
			judges: map[string]func(v value) bool{
				"use_cla": value.off, "use_mla": value.off, "moe_layer_num_skipped": value.off, "moe_drop_tokens": value.off,
				"use_mixed_mlp_moe": func(value) bool { return true }, // the shared expert, by its tensors
			},
		},
		"hy_v3": {
			mixers: groupedQueries, biases: qkvo, biasField: "attention_bias", mlpBias: true, headNorm: always, router: sigmoidBiasSum,
			computes: set("router_scaling_factor enable_moe_fp32_combine enable_lm_head_fp32 enable_attention_fp32_softmax first_k_dense_replace expert_hidden_dim"),
			judges: map[string]func(v value) bool{
				"qk_norm": value.on, "route_norm": value.on, "moe_router_enable_expert_bias": value.on, "moe_router_use_sigmoid": value.on,
			},
		},
		"dots1": {
			mixers: windows, layerTypes: true, biases: qkvo, biasField: "attention_bias", headNorm: always, router: sigmoidBiasTopK,
			// The release names the method where others name the function.
			judges: map[string]func(v value) bool{"scoring_func": func(v value) bool { s, _ := v.Str(); return s == "sigmoid" || s == "noaux_tc" }},
		},
		"solar_open": {
			mixers: groupedQueries, biases: qkv, biasField: "attention_bias", router: sigmoidBiasTopK,
		},
		"exaone_moe": {
			mixers: windows, layerTypes: true, headNorm: always, manner: manner{rotates: inWindows}, router: sigmoidBiasTopK, mtp: qwenMTP,
			computes: set("sliding_window_pattern is_moe_layer mtp_layer_types"),
		},
		"afmoe": {
			mixers: windows, layerTypes: true, biases: qkvo, biasField: "attention_bias", headNorm: always, manner: manner{rotates: inWindows},
			arrange: sandwich, router: sigmoidBiasSum, factors: afmoeFactors,
			computes: set("global_attn_every_n_layers mup_enabled num_dense_layers route_scale load_balance_coeff"),
			judges: map[string]func(v value) bool{
				"route_norm": value.on, "score_func": func(v value) bool { s, _ := v.Str(); return s == "sigmoid" },
				"num_expert_groups": func(v value) bool { return v.one() || v.off() }, "num_limited_groups": func(v value) bool { return v.one() || v.off() },
				"use_grouped_mm": func(value) bool { return true },
			},
		},
		"laguna": {
			mixers: windows, layerTypes: true, biases: qkvo, biasField: "attention_bias", headNorm: always, manner: manner{softplus: true, adapt: lagunaAttention},
			router: sigmoidBiasPure, routes: lagunaRouter,
			computes: join(partialRotation, set("gating num_attention_heads_per_layer moe_routed_scaling_factor moe_router_logit_softcapping routed_scaling_factor first_k_dense_replace")),
			judges:   map[string]func(v value) bool{"moe_apply_router_weight_on_input": value.off},
		},
	})
}

// inWindows: only layers with a window have positions, and those of multi-token
// prediction; all do where there is none.
func inWindows(s *site) bool {
	return s.behind() || s.c.SlidingWindow == 0 || s.kind() == "sliding_attention"
}

// mimoAttention multiplies values.
func mimoAttention(s *site, g *grouped) {
	if s.c.ValueScale != 0 {
		g.valueScale = float32(s.c.ValueScale)
	}
}

// mimoMTP reads the state before the embedding. (Source: multi-token prediction of mimo in
// vLLM 0.33.0.)
func mimoMTP(s *site) (*mtp, error) {
	t, err := s.joined("token_layernorm", "hidden_layernorm")
	if t != nil {
		t.joint.(*beside).stateFirst = true
	}
	return t, err
}

// mimoLayer has another name for its second norm in layers of multi-token prediction.
func mimoLayer(s *site) ([]*block, error) {
	if !s.behind() {
		return sequential(s)
	}
	mix, err := s.mixer()
	if err != nil {
		return nil, err
	}
	feed, err := s.feedForward()
	return []*block{
		{norm: s.width("input_layernorm"), mixer: mix, rule: s.add()},
		{norm: s.width("pre_mlp_layernorm"), mixer: feed, rule: s.add()},
	}, err
}

// ernieMTP reads what the last layer hands on, and ends with the model's norm. (Source:
// Baidu's training code; vLLM gives it final states and leaves that norm out.)
func ernieMTP(s *site) (*mtp, error) {
	if !s.has(model.MTPProjection, "") {
		return nil, nil
	}
	l, err := s.lay()
	if err != nil {
		return nil, err
	}
	j := &beside{proj: s.weight(model.MTPProjection, ""), enorm: s.width("mtp_emb_norm"), hnorm: s.width("mtp_hidden_norm")}
	return &mtp{layer: l, joint: j, raw: true}, s.err
}

// clipped bounds queries, keys and values.
func clipped(s *site, g *grouped) { g.clip = float32(s.number("clip_qkv", 0)) }

// hunyuanAttention has other names for its norms.
func hunyuanAttention(s *site, g *grouped) {
	g.qNorm, g.kNorm = s.norm("query_layernorm", g.size, eps(s.c)), s.norm("key_layernorm", g.size, eps(s.c))
}

// lagunaAttention has a gate of a number a head or a channel.
func lagunaAttention(s *site, g *grouped) {
	if g.gate != nil && g.gate.out != g.heads && g.gate.out != g.heads*g.valueSize && s.err == nil {
		s.err = invalid.Errorf("tensor %q: %d rows are neither one a head nor one a channel of %d heads of %d", g.gate.name, g.gate.out, g.heads, g.valueSize)
	}
}

// ernieRouter bounds the sum that weights are divided by.
func ernieRouter(s *site, r *router) { r.Least = float32(s.number("moe_norm_min", 1e-12)) }

// lagunaRouter has a factor of its own, and may bound logits.
func lagunaRouter(s *site, r *router) {
	r.Factor = float32(s.number("moe_routed_scaling_factor", 1))
	r.cap = float32(s.number("moe_router_logit_softcapping", 0))
}

// afmoeFactors multiplies embeddings by √hidden where mup_enabled says so.
func afmoeFactors(c *model.Config, f *factors) {
	for key, v := range c.Fields() {
		if on, _ := v.Bool(); on && key == "mup_enabled" {
			f.embedding = float32(math.Sqrt(float64(c.HiddenSize)))
		}
	}
}

// sandwich has norms on both sides of both blocks.
func sandwich(s *site) ([]*block, error) {
	mix, err := s.mixer()
	if err != nil {
		return nil, err
	}
	feed, err := s.feedForward()
	norm := func(part string) *norm { return s.norm(part, s.c.HiddenSize, eps(s.c)) }
	return []*block{
		{norm: norm("input_layernorm"), mixer: mix, after: norm("post_attention_layernorm"), rule: s.add()},
		{norm: norm("pre_mlp_layernorm"), mixer: feed, after: norm("post_mlp_layernorm"), rule: s.add()},
	}, err
}
