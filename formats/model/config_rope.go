package model

import (
	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// fields of rope_scaling (older configs) and rope_parameters (newer).
func (p *Rope) fields() []field {
	return []field{
		{"rope_theta", &p.Theta, 0},
		{"rope_type", &p.Type, 0},
		{"type", &p.Type, 0},
		{"factor", &p.Factor, 0},
		{"original_max_position_embeddings", &p.OriginalMax, 0},
		{"beta_fast", &p.BetaFast, 0},
		{"beta_slow", &p.BetaSlow, 0},
		{"mscale", &p.MScale, 0},
		{"mscale_all_dim", &p.MScaleAll, 0},
		{"low_freq_factor", &p.LowFreq, 0},
		{"high_freq_factor", &p.HighFreq, 0},
		{"attention_factor", &p.AttentionFactor, 0},
		{"partial_rotary_factor", &p.PartialRotaryFactor, 0},
		{"llama_4_scaling_beta", &p.Llama4Beta, 0},
		{"alpha", &p.Alpha, 0},
		{"short_factor", &p.ShortFactor, 0},
		{"long_factor", &p.LongFactor, 0},
		{"short_mscale", &p.ShortMScale, 0},
		{"long_mscale", &p.LongMScale, 0},
	}
}

// rope reads both generations: theta and the partial factor beside rope_scaling, or
// all of it in rope_parameters.
func (r *reader) rope(c *Config) error {
	var base Rope
	if err := r.readAll([]field{
		{"rope_theta", &base.Theta, 0},
		{"partial_rotary_factor", &base.PartialRotaryFactor, 0},
		{"original_max_position_embeddings", &base.OriginalMax, 0},
	}); err != nil {
		return err
	}
	c.Rope = base
	for _, key := range []string{"rope_scaling", "rope_parameters"} {
		v := r.get(key)
		if v == nil {
			continue
		}
		if v.Kind != strictjson.KindObject {
			return invalid.Errorf("%q: %s instead of an object", key, shown(v))
		}
		r.has[key] = true
		if !byLayerType(v) {
			if err := readRope(key, v, &c.Rope); err != nil {
				return err
			}
			continue
		}
		c.RopeByType = make(map[string]Rope, len(v.Members))
		for i := range v.Members {
			m := &v.Members[i]
			if m.Value.Kind != strictjson.KindObject {
				continue
			}
			p := base
			if err := readRope(key+"."+m.Key, &m.Value, &p); err != nil {
				return err
			}
			c.RopeByType[m.Key] = p
		}
		c.Rope = c.RopeByType["full_attention"]
	}
	return r.localTheta(c)
}

// localTheta reads the theta of layers with a window where it stands beside the other:
// MiMo, Gemma 3.
func (r *reader) localTheta(c *Config) error {
	var theta float64
	if err := r.readAll([]field{{"swa_rope_theta", &theta, 0}, {"rope_local_base_freq", &theta, 0}}); err != nil {
		return err
	}
	if theta > 0 && c.RopeByType == nil {
		c.RopeByType = map[string]Rope{
			"full_attention":    c.Rope,
			"sliding_attention": {Theta: theta, PartialRotaryFactor: c.Rope.PartialRotaryFactor},
		}
	}
	return nil
}

// byLayerType reports whether the parameters are given by layer type.
func byLayerType(v *strictjson.Value) bool {
	for i := range v.Members {
		if v.Members[i].Value.Kind == strictjson.KindObject {
			return true
		}
	}
	return false
}

func readRope(key string, v *strictjson.Value, p *Rope) error {
	r := reader{levels: []*strictjson.Value{v}, has: make(map[string]bool)}
	truncate := true
	if err := r.readAll(append(p.fields(), field{"truncate", &truncate, 0})); err != nil {
		return invalid.Errorf("%q: %w", key, err)
	}
	p.NoTruncate = !truncate
	return nil
}
