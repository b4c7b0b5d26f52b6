package model

// gemma are Google's models. Gemma 4 has a dense block beside the experts of each
// layer, and norms around all of them; where enable_moe_block is false there are no
// experts. Layers without a window may have other heads, whose values are their keys.
var gemma = []family{{
	name: "gemma4", types: []string{"gemma4", "gemma4_text"}, classes: []string{"Gemma4ForConditionalGeneration", "Gemma4ForCausalLM"},
	layer: []entry{
		{"layer_scalar", rule{role: Factor, part: "layer_scalar"}},
		{"router.scale", rule{role: RouterBias, part: "scale"}},
		{"router.per_expert_scale", rule{role: RouterBias, part: "per_expert_scale", flags: byExpert}},
		{"per_layer_input_gate", rule{role: LayerEmbedding, part: "gate"}},
		{"per_layer_projection", rule{role: LayerEmbedding, part: "projection"}},
		{"experts.#.gate_proj", rule{RoutedExpert, "gate", "gate_up_proj", expert}},
		{"experts.#.up_proj", rule{RoutedExpert, "up", "gate_up_proj", expert}},
		{"experts.#.down_proj", rule{RoutedExpert, "down", "", expert}},
	},
	root: []entry{
		{"embed_tokens_per_layer", rule{role: LayerEmbedding, part: "table"}},
		{"per_layer_model_projection", rule{role: LayerEmbedding, part: "model_projection"}},
	},
	complete: gemma4Defaults,
	rows:     [][]row{outer, norms, gemmaAttention, dense, gemmaDense, gemmaExperts, gemmaPerLayer},
}}

var (
	valuesOwn when = func(c *Config, l int) bool { return c.HasKV(l) && (!c.KEqV || c.sliding(l)) }
	perLayer  when = func(c *Config, _ int) bool { return c.PerLayerInput > 0 }

	perLayerSize = of(func(c *Config) int { return c.PerLayerInput })
	perLayerAll  = of(func(c *Config) int { return c.PerLayerInput * c.NumHiddenLayers })

	gemmaAttention = []row{
		{key: "self_attn.q_proj.weight", shape: []dim{qRows, hidden}},
		{key: "self_attn.k_proj.weight", shape: []dim{kvRows, hidden}, in: ownKV},
		{key: "self_attn.v_proj.weight", shape: []dim{kvRows, hidden}, in: valuesOwn},
		{key: "self_attn.o_proj.weight", shape: []dim{hidden, qRows}},
		{key: "self_attn.q_norm.weight", shape: []dim{head}},
		{key: "self_attn.k_norm.weight", shape: []dim{head}, in: ownKV},
		{key: "layer_scalar", shape: []dim{one}},
		{key: "pre_feedforward_layernorm.weight", shape: []dim{hidden}},
		{key: "post_feedforward_layernorm.weight", shape: []dim{hidden}},
	}
	// The dense block is there beside the experts too.
	gemmaDense = within(isSparse, []row{
		{key: "mlp.gate_proj.weight", shape: []dim{inner, hidden}},
		{key: "mlp.up_proj.weight", shape: []dim{inner, hidden}},
		{key: "mlp.down_proj.weight", shape: []dim{hidden, inner}},
		{key: "post_feedforward_layernorm_1.weight", shape: []dim{hidden}},
		{key: "post_feedforward_layernorm_2.weight", shape: []dim{hidden}},
		{key: "pre_feedforward_layernorm_2.weight", shape: []dim{hidden}},
	})
	gemmaExperts = within(isSparse, []row{
		{key: "router.proj.weight", shape: []dim{nExperts, hidden}},
		{key: "router.scale", shape: []dim{hidden}},
		{key: "router.per_expert_scale", shape: []dim{nExperts}},
		{key: "experts.#.gate_proj.weight", shape: []dim{inner1, hidden}},
		{key: "experts.#.up_proj.weight", shape: []dim{inner1, hidden}},
		{key: "experts.#.down_proj.weight", shape: []dim{hidden, inner1}},
		{key: "experts.gate_up_proj", shape: []dim{nExperts, inner2, hidden}, optional: true},
		{key: "experts.down_proj", shape: []dim{nExperts, hidden, inner1}, optional: true},
	})
	gemmaPerLayer = within(perLayer, []row{
		{key: "per_layer_input_gate.weight", shape: []dim{perLayerSize, hidden}},
		{key: "per_layer_projection.weight", shape: []dim{hidden, perLayerSize}},
		{key: "post_per_layer_input_norm.weight", shape: []dim{hidden}},
		{key: "embed_tokens_per_layer.weight", shape: []dim{vocab, perLayerAll}, root: true, optional: true},
		{key: "per_layer_model_projection.weight", shape: []dim{perLayerAll, hidden}, root: true},
		{key: "per_layer_projection_norm.weight", shape: []dim{perLayerSize}, root: true},
	})
)
