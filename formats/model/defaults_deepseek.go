package model

import (
	"slices"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// What configs of DeepSeek's models say in several spellings, or leave out (configuration
// files of transformers 5.24).

// indexed are the defaults of models whose attention has an indexer of so many heads.
func indexed(heads int) func(c *Config) error {
	return func(c *Config) error {
		if !c.Has("index_n_heads") {
			c.IndexHeads = heads
		}
		if !c.Has("index_head_dim") {
			c.IndexHeadDim = 128
		}
		if !c.Has("index_topk") {
			c.IndexTopK = 2048
		}
		if c.Has("index_topk_freq") && !c.Has("index_skip_topk_offset") {
			c.IndexOffset = 2
		}
		return normalized(c)
	}
}

// The types of layers of DeepSeek-V4, and the keys of compress_rates.
const (
	v4Window  = "sliding_attention"
	v4Sparse  = "compressed_sparse_attention"
	v4Heavily = "heavily_compressed_attention"
)

// v4Complete fills in how layers compress and route: by compress_ratios and
// num_hash_layers (DeepSeek), or by layer_types, compress_rates and mlp_layer_types
// (transformers).
func v4Complete(c *Config) error {
	for _, d := range []struct {
		key string
		dst *int
		n   int
	}{
		{"hc_mult", &c.HCMult, 4},
		{"hc_sinkhorn_iters", &c.HCIters, 20},
		{"index_n_heads", &c.IndexHeads, 64},
		{"index_head_dim", &c.IndexHeadDim, 128},
		{"index_topk", &c.IndexTopK, 512},
		{"sliding_window", &c.SlidingWindow, 128},
	} {
		if !c.Has(d.key) {
			*d.dst = d.n
		}
	}
	if !c.Has("hc_eps") {
		c.HCEps = 1e-6
	}
	if !c.Has("compress_rope_theta") {
		c.CompressRopeTheta = 160000
	}
	if !c.Has("swiglu_limit") {
		c.SwigluLimit = 10
	}
	if !c.Has("routed_scaling_factor") {
		c.RoutedScalingFactor = 1.5
	}
	if c.QKRopeHeadDim == 0 {
		part := c.Rope.PartialRotaryFactor
		if main, ok := c.RopeByType["main"]; ok {
			part = main.PartialRotaryFactor
		}
		if part == 0 {
			part = 64.0 / 512
		}
		c.QKRopeHeadDim = int(float64(c.HeadDim) * part)
	}
	c.v4Ropes()
	if err := c.v4Ratios(); err != nil {
		return err
	}
	return c.v4Hashing()
}

// v4Ropes are those of layers that compress nothing, and of those that do: "main" and
// "compress" in transformers' spelling. The second has YaRN's frequencies, and not its
// factor of cosine and sine.
func (c *Config) v4Ropes() {
	main, named := c.RopeByType["main"]
	compress, both := c.RopeByType["compress"]
	if !named || !both {
		main, compress = Rope{Theta: c.Rope.Theta}, c.Rope
		compress.Theta = c.CompressRopeTheta
	}
	if main.Theta == 0 {
		main.Theta = 10000
	}
	if compress.Type == "yarn" && compress.AttentionFactor == 0 {
		compress.AttentionFactor = 1
	}
	c.Rope, c.RopeByType = main, map[string]Rope{"main": main, "compress": compress}
}

// v4Ratios finds how many tokens each layer compresses, and how many those whose windows
// overlap and that have an indexer.
func (c *Config) v4Ratios() error {
	rates := map[string]int{v4Sparse: 4, v4Heavily: 128}
	given := false
	if n := c.NumHiddenLayers + max(c.NumMTPLayers, 1); len(c.CompressRatios) > n {
		return invalid.Errorf("%q: %d values for %d layers and %d of multi-token prediction", "compress_ratios", len(c.CompressRatios), c.NumHiddenLayers, c.NumMTPLayers)
	}
	for key, v := range c.Fields() {
		name := map[string]string{"compress_rate_csa": v4Sparse, "compress_rate_hca": v4Heavily}[key]
		switch {
		case name != "":
			n, err := integer(field{key: key}, v)
			if err != nil {
				return err
			}
			rates[name], given = n, true
		case key == "compress_rates":
			if v.Kind != strictjson.KindObject {
				return invalid.Errorf("%q: %s instead of an object", key, shown(v))
			}
			for i := range v.Members {
				m := &v.Members[i]
				n, err := integer(field{key: key + "." + m.Key}, &m.Value)
				if err != nil {
					return err
				}
				rates[m.Key], given = n, true
			}
		}
	}
	if len(c.LayerTypes) == 0 && len(c.CompressRatios) == 0 {
		for l := range c.NumHiddenLayers {
			c.LayerTypes = append(c.LayerTypes, kindIf(l >= 2 && l%2 == 1, v4Sparse, v4Heavily))
		}
	}
	if len(c.LayerTypes) == 0 {
		c.OverlapRatio = overlapping(c.CompressRatios)
		if given {
			c.OverlapRatio = rates[v4Sparse]
		}
		return nil
	}
	ratios := make([]int, len(c.LayerTypes))
	for l, t := range c.LayerTypes {
		switch t {
		case v4Window:
		case v4Sparse, v4Heavily:
			if ratios[l] = rates[t]; ratios[l] <= 0 {
				return invalid.Errorf("%q: %d tokens for %s", "compress_rates", ratios[l], t)
			}
		default:
			return invalid.Errorf("%q: layer %d is of type %q; DeepSeek-V4's are %s, %s and %s", "layer_types", l, t, v4Window, v4Sparse, v4Heavily)
		}
		if l < len(c.CompressRatios) && given && c.CompressRatios[l] != ratios[l] {
			return invalid.Errorf("%q: layer %d compresses %d tokens, but %d by layer_types and compress_rates", "compress_ratios", l, c.CompressRatios[l], ratios[l])
		}
	}
	if len(c.CompressRatios) == 0 || given {
		c.CompressRatios, c.OverlapRatio = ratios, rates[v4Sparse]
	} else {
		c.OverlapRatio = overlapping(c.CompressRatios)
	}
	return nil
}

// overlapping is the ratio of layers whose windows overlap, of a list that says no more: 4
// in all releases, else the smaller of two.
func overlapping(ratios []int) int {
	var found []int
	for _, r := range ratios {
		if r > 0 && !slices.Contains(found, r) {
			found = append(found, r)
		}
	}
	switch {
	case slices.Contains(found, 4):
		return 4
	case len(found) > 1:
		return slices.Min(found)
	}
	return 0
}

func kindIf(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// v4Hashing finds the layers whose experts follow from the token: all of V4's have some.
func (c *Config) v4Hashing() error {
	types := c.MLPLayerTypes
	c.MLPLayerTypes = nil
	if len(types) == 0 {
		if !c.Has("num_hash_layers") {
			c.NumHashLayers = min(c.NumHiddenLayers, 3)
		}
		return nil
	}
	for l, t := range types {
		switch t {
		case "hash_moe":
			c.HashLayers = append(c.HashLayers, true)
		case "moe":
			c.HashLayers = append(c.HashLayers, false)
		default:
			return invalid.Errorf("%q: layer %d is of type %q; DeepSeek-V4's are hash_moe and moe", "mlp_layer_types", l, t)
		}
	}
	return nil
}

// doubled: LongCat's num_layers counts what it stores; num_hidden_layers, where a config
// has both, counts its attentions.
func doubled(c *Config) error {
	c.DenseMTP = true
	for key, v := range c.Fields() {
		if key == "num_layers" {
			n, err := integer(field{key: key, max: maxLayers}, v)
			if err != nil {
				return err
			}
			c.NumHiddenLayers = n
		}
	}
	return nil
}

// hy4Complete: Hunyuan 4 has streams, an indexer in every fourth layer, and one dense layer.
func hy4Complete(c *Config) error {
	if !c.Has("hc_mult") {
		c.HCMult = 4
	}
	if !c.Has("hc_eps") {
		c.HCEps = 1e-6
	}
	if !c.Has("swiglu_limit") {
		c.SwigluLimit = 10
	}
	if !c.Has("mlp_layer_types") && !c.Has("first_k_dense_replace") {
		c.FirstKDense = 1
	}
	if len(c.IndexerTypes) == 0 {
		for l := range c.NumHiddenLayers {
			c.IndexerTypes = append(c.IndexerTypes, kindIf(l == 0 || (l-1)%4 == 0, "full", "shared"))
		}
	}
	return indexed(16)(c)
}
