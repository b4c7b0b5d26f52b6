package model

import (
	"strings"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// layerKinds reads what the layers are where a config says so in a spelling of its own.
func (r *reader) layerKinds(c *Config) error {
	var pattern, mtpPattern string
	var window, sparse []int
	if err := r.readAll([]field{
		{"hybrid_override_pattern", &pattern, 0},
		{"mtp_hybrid_override_pattern", &mtpPattern, 0},
		{"layers_block_type", &c.BlockTypes, 0},
		{"mtp_layers_block_type", &c.MTPBlockTypes, 0},
		{"hybrid_layer_pattern", &window, 0}, // MiMo: 1 where a layer has a window
		{"sparse_attention_freq", &sparse, 0},
	}); err != nil {
		return err
	}
	// A letter for each layer, which the family's row makes words of.
	if len(c.BlockTypes) == 0 && len(pattern) <= maxLayers {
		c.BlockTypes = letters(pattern)
	}
	if len(c.MTPBlockTypes) == 0 && len(mtpPattern) <= maxLayers {
		c.MTPBlockTypes = letters(mtpPattern)
	}
	if c.NumHiddenLayers == 0 {
		c.NumHiddenLayers = len(c.BlockTypes)
	}
	if len(c.LayerTypes) == 0 {
		for _, n := range window {
			c.LayerTypes = append(c.LayerTypes, kind(n == 1, "sliding_attention"))
		}
	}
	if len(c.LayerTypes) == 0 { // in transformers' word for it
		for _, n := range sparse {
			c.LayerTypes = append(c.LayerTypes, kind(n == 1, "minimax_m3_sparse"))
		}
	}
	if err := r.deltaHeads(c); err != nil {
		return err
	}
	if v := r.get("gating"); v != nil { // Laguna: true is "per-head", false no less of a gate
		c.Gating, _ = v.Str()
		if on, ok := v.Bool(); ok && !on {
			c.Gating = "per-element"
		}
	}
	if err := r.perLayer(c); err != nil {
		return err
	}
	return r.blocks(c)
}

// perLayer reads per_layer_config, in which transformers 5 keeps the heads of Gemma 4's
// layers without a window: by layer, and alike in all of them.
func (r *reader) perLayer(c *Config) error {
	v := r.get("per_layer_config")
	if v == nil || v.Kind != strictjson.KindObject {
		return nil
	}
	r.has["per_layer_config"] = true
	for i := range v.Members {
		m := &v.Members[i]
		if m.Value.Kind != strictjson.KindObject {
			continue
		}
		in := reader{levels: []*strictjson.Value{&m.Value}, has: map[string]bool{}}
		if err := in.readAll([]field{{"head_dim", &c.GlobalHeadDim, 0}, {"num_key_value_heads", &c.GlobalKVHeads, 0}}); err != nil {
			return invalid.Errorf("%q: %q: %w", "per_layer_config", m.Key, err)
		}
	}
	return nil
}

// letters divides a pattern into strings of one letter; nil when it is empty.
func letters(pattern string) []string {
	if pattern == "" {
		return nil
	}
	return strings.Split(pattern, "")
}

// kind returns the type of a layer, "full_attention" unless it is another.
func kind(other bool, name string) string {
	if other {
		return name
	}
	return "full_attention"
}

// deltaHeads reads the heads of Kimi's delta attention: all of one size, in
// linear_attn_config (Kimi) or beside it (GLM-5.3, Ling).
func (r *reader) deltaHeads(c *Config) error {
	var heads, dim int
	if err := r.readAll([]field{{"linear_num_heads", &heads, 0}, {"linear_head_dim", &dim, 0}}); err != nil {
		return err
	}
	if v := r.get("linear_attn_config"); v != nil && v.Kind == strictjson.KindObject {
		in := reader{levels: []*strictjson.Value{v}, has: r.has}
		var full []int
		if err := in.readAll([]field{
			{"num_heads", &heads, 0},
			{"head_dim", &dim, 0},
			{"short_conv_kernel_size", &c.LinearConvKernel, 0},
			{"gate_lower_bound", &c.LinearLowerBound, anySign},
			{"use_full_rank_gate", &c.LinearFullGate, 0},
			{"full_attn_layers", &full, maxLayers}, // counted from 1
		}); err != nil {
			return invalid.Errorf("%q: %w", "linear_attn_config", err)
		}
		if len(c.LayerTypes) == 0 && len(full) > 0 {
			c.LayerTypes = make([]string, c.NumHiddenLayers)
			for i := range c.LayerTypes {
				c.LayerTypes[i] = "linear_attention"
			}
			for _, n := range full {
				if n >= 1 && n <= len(c.LayerTypes) {
					c.LayerTypes[n-1] = "full_attention"
				}
			}
		}
	}
	if heads > 0 && c.LinearKeyHeads == 0 && c.LinearValueHeads == 0 {
		c.LinearKeyHeads, c.LinearValueHeads = heads, heads
		c.LinearKeyHeadDim, c.LinearValueHeadDim = dim, dim
	}
	return nil
}

// blocks reads block_configs of Nemotron-NAS: the heads in a group of each layer, and
// the width of its dense block as a multiple of ⅔ of the hidden size, rounded up to 256
// (DeciLM's modeling code).
func (r *reader) blocks(c *Config) error {
	v := r.get("block_configs")
	if v == nil || v.Kind != strictjson.KindArray {
		return nil
	}
	for i := range v.Elems {
		var group int
		var mult float64
		var b Block
		for _, part := range []struct {
			key string
			f   field
		}{
			{"attention", field{"n_heads_in_group", &group, 0}},
			{"ffn", field{"ffn_mult", &mult, 0}},
		} {
			o := v.Elems[i].Get(part.key)
			if o == nil || o.Kind != strictjson.KindObject {
				continue
			}
			in := reader{levels: []*strictjson.Value{o}, has: map[string]bool{}}
			if err := in.readAll([]field{part.f}); err != nil {
				return invalid.Errorf("%q: element %d: %w", "block_configs", i, err)
			}
		}
		if group > 0 {
			b.KVHeads = c.NumHeads / group
		}
		if inner := 2 * mult * float64(c.HiddenSize) / 3; inner < maxSize {
			b.Inner = (int(inner) + 255) / 256 * 256
		}
		c.Blocks = append(c.Blocks, b)
	}
	return nil
}
