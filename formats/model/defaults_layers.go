package model

import "strings"

// everyNth gives layers their types where a config lacks them: every n-th, and all if n is
// 0, is full attention, others are of another kind.
func (c *Config) everyNth(n int, other string) {
	if len(c.LayerTypes) > 0 {
		return
	}
	for l := range c.NumHiddenLayers {
		c.LayerTypes = append(c.LayerTypes, kind(n > 0 && (l+1)%n != 0, other))
	}
}

// denseFirst makes the first n layers dense where a config does not say which are.
func (c *Config) denseFirst(n int) {
	if len(c.MLPLayerTypes) == 0 && !c.Has("first_k_dense_replace") && !c.Has("num_dense_layers") {
		c.FirstKDense = n
	}
}

// tied ties the output head to the embedding where a config does not say.
func (c *Config) tied() {
	if !c.Has("tie_word_embeddings") {
		c.TieEmbeddings = true
	}
}

// whole is a field that no row of the table reads, as an integer.
func (c *Config) whole(key string, absent int) int {
	for k, v := range c.Fields() {
		if n, ok := v.Int64(); ok && k == key && n >= 0 && n <= maxLayers {
			return int(n)
		}
	}
	return absent
}

// off reports whether a field that no row reads is false.
func (c *Config) off(key string) bool {
	for k, v := range c.Fields() {
		if on, ok := v.Bool(); ok && k == key {
			return !on
		}
	}
	return false
}

// orDefault fills numbers that a config lacks.
func (c *Config) orDefault(key string, dst *float64, x float64) {
	if !c.Has(key) {
		*dst = x
	}
}

// llama4Defaults: queries of layers without positions grow, and a chunk is as long as the
// scale says.
func llama4Defaults(c *Config) error {
	c.NumSharedExperts = 1
	if len(c.NoRopeLayers) == 0 && !c.Has("no_rope_layer_interval") {
		c.NoRopeStep = 4
	}
	c.AttnTemperature = c.AttnTemperature || !c.Has("attn_temperature_tuning")
	c.UseQKNorm = c.UseQKNorm || !c.Has("use_qk_norm")
	c.orDefault("attn_scale", &c.AttnScale, 0.1)
	c.orDefault("floor_scale", &c.FloorScale, 8192)
	if !c.Has("attention_chunk_size") {
		c.ChunkSize = 8192
	}
	if len(c.LayerTypes) == 0 && c.ChunkSize > 0 {
		for l := range c.NumHiddenLayers {
			c.LayerTypes = append(c.LayerTypes, kind(c.RotatesAt(l), "chunked_attention"))
		}
	}
	return nil
}

// gemma4Defaults: every sixth layer, and the last, has no window and larger heads.
func gemma4Defaults(c *Config) error {
	if c.GlobalHeadDim == 0 && !c.Has("per_layer_config") {
		c.GlobalHeadDim = 512
	}
	c.everyNth(6, "sliding_attention")
	if n := len(c.LayerTypes); n > 0 && c.LayerTypes[n-1] == "sliding_attention" {
		c.LayerTypes[n-1] = "full_attention"
	}
	if c.off("enable_moe_block") {
		c.NumExperts = 0
	}
	if c.RopeByType == nil && !c.Has("rope_theta") && !c.Has("rope_parameters") && !c.Has("rope_scaling") {
		c.Rope = Rope{Type: "proportional", Theta: 1e6, PartialRotaryFactor: 0.25}
		c.RopeByType = map[string]Rope{"full_attention": c.Rope, "sliding_attention": {Theta: 1e4}}
	}
	c.tied()
	return nil
}

// ernieDefaults: the first layer is dense.
func ernieDefaults(c *Config) error {
	if !c.Has("moe_layer_start_index") {
		c.MoELayerStart = 1
	}
	c.DenseMTP = true
	return nil
}

// hy3Defaults: the first layer is dense.
func hy3Defaults(c *Config) error {
	c.denseFirst(1)
	c.orDefault("router_scaling_factor", &c.RoutedScalingFactor, 2.826)
	return nil
}

// dots1Defaults: layers behind max_window_layers have a window.
func dots1Defaults(c *Config) error {
	from := c.whole("max_window_layers", 62)
	if len(c.LayerTypes) == 0 && c.SlidingWindow > 0 && from < c.NumHiddenLayers {
		for l := range c.NumHiddenLayers {
			c.LayerTypes = append(c.LayerTypes, kind(l >= from, "sliding_attention"))
		}
	}
	return nil
}

// exaoneDefaults: sliding_window_pattern is a number, or a letter a layer of a group ("LLLG").
func exaoneDefaults(c *Config) error {
	n := c.whole("sliding_window_pattern", 4)
	for k, v := range c.Fields() {
		if s, ok := v.Str(); ok && k == "sliding_window_pattern" {
			n = 1 + strings.IndexByte(s, 'G')
		}
	}
	if c.SlidingWindow == 0 {
		n = 0
	}
	c.everyNth(n, "sliding_attention")
	c.denseFirst(1)
	c.orDefault("routed_scaling_factor", &c.RoutedScalingFactor, 2.5)
	c.DenseMTP, c.MTPLayerType = true, c.LayerType(0)
	for k, v := range c.Fields() {
		if k == "mtp_layer_types" && len(v.Elems) > 0 {
			c.MTPLayerType, _ = v.Elems[0].Str()
		}
	}
	return normalized(c)
}

// afmoeDefaults: every fourth layer has no window, and the first is dense.
func afmoeDefaults(c *Config) error {
	c.everyNth(c.whole("global_attn_every_n_layers", 4), "sliding_attention")
	c.denseFirst(1)
	return nil
}

// lagunaDefaults: the first layer is dense; half a head turns where there is no window.
func lagunaDefaults(c *Config) error {
	c.denseFirst(1)
	if c.RopeByType == nil && !c.Has("rope_theta") && !c.Has("rope_parameters") && !c.Has("rope_scaling") {
		c.Rope = Rope{Theta: 5e5, PartialRotaryFactor: 0.5}
		c.RopeByType = map[string]Rope{"full_attention": c.Rope, "sliding_attention": {Theta: 1e4, PartialRotaryFactor: 1}}
	}
	return nil
}

// mimoDefaults: layers with a window have twice the heads of keys and values, and sinks;
// every sixth layer, and the first, has no window, and the first is dense.
func mimoDefaults(c *Config) error {
	if c.SlidingKVHeads == 0 {
		c.SlidingKVHeads = 2 * c.NumKVHeads
	}
	if c.SlidingWindowSize > 0 { // it counts the tokens before
		c.SlidingWindow = c.SlidingWindowSize + 1
	}
	c.SlidingSinks = c.SlidingSinks || !c.Has("add_swa_attention_sink_bias")
	c.everyNth(6, "sliding_attention")
	if !c.Has("layer_types") && !c.has["hybrid_layer_pattern"] && len(c.LayerTypes) > 0 {
		c.LayerTypes[0] = "full_attention"
	}
	c.denseFirst(1)
	c.DenseMTP, c.MTPLayerType = true, "sliding_attention"
	c.orDefault("attention_value_scale", &c.ValueScale, 0.707)
	return normalized(c)
}

// cohereDefaults: every fourth layer has no window, counted anew behind the dense ones,
// which have a pattern of their own.
func cohereDefaults(c *Config) error {
	c.tied()
	if len(c.LayerTypes) > 0 {
		return nil
	}
	n, prefix := c.whole("sliding_window_pattern", 4), c.whole("prefix_dense_sliding_window_pattern", 1)
	for l := range c.NumHiddenLayers {
		at, step := l-c.FirstKDense, n
		if at < 0 {
			at, step = l, prefix
		}
		c.LayerTypes = append(c.LayerTypes, kind(step > 0 && (at+1)%step != 0, "sliding_attention"))
	}
	return nil
}
