package model

import (
	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// quantization reads quantization_config, which multimodal models keep at either level.
func (r *reader) quantization() (*Quantization, error) {
	// compression_config is what old versions of compressed-tensors wrote.
	for _, key := range []string{"quantization_config", "compression_config", "quantization"} {
		v := r.get(key)
		if v == nil || key == "quantization" && !IsMLX(v) {
			continue
		}
		if v.Kind != strictjson.KindObject {
			return nil, invalid.Errorf("%q: %s instead of an object", key, shown(v))
		}
		r.has[key] = true
		q, err := parseQuantization(v)
		if err != nil {
			return nil, invalid.Errorf("%q: %w", key, err)
		}
		return q, nil
	}
	return nil, nil
}

// IsMLX reports whether the value of "quantization" in config.json is what mlx-lm writes,
// beside quantization_config or alone.
func IsMLX(v *strictjson.Value) bool {
	return v != nil && v.Kind == strictjson.KindObject && v.Get("bits") != nil && v.Get("group_size") != nil
}

// ParseQuantization reads a file that describes a quantization beside config.json:
// the object of quantization_config itself, or modelopt's with the same under
// "quantization".
func ParseQuantization(v *strictjson.Value) (*Quantization, error) {
	if v == nil || v.Kind != strictjson.KindObject {
		return nil, invalid.Errorf("it is %s, not an object", kindOf(v))
	}
	if in := v.Get("quantization"); in != nil && in.Kind == strictjson.KindObject {
		v = in
	}
	q, err := parseQuantization(v)
	if err == nil && q.Method == "" && q.Algo != "" {
		q.Method = "modelopt"
	}
	return q, err
}

func parseQuantization(v *strictjson.Value) (*Quantization, error) {
	q := new(Quantization)
	r := reader{levels: []*strictjson.Value{v}, has: make(map[string]bool)}
	if err := r.readAll([]field{
		{"quant_method", &q.Method, 0},
		{"fmt", &q.Fmt, 0},
		{"scale_fmt", &q.ScaleFmt, 0},
		{"activation_scheme", &q.ActivationScheme, 0},
		{"quant_algo", &q.Algo, 0},
		{"format", &q.Format, 0},
		{"weight_block_size", &q.WeightBlockSize, 0},
		{"bits", &q.Bits, 64},
		{"ignored_layers", &q.NotConverted, 0},
		{"modules_to_not_convert", &q.NotConverted, 0},
		{"ignore", &q.NotConverted, 0},
		{"exclude_modules", &q.NotConverted, 0},
		{"group_size", &q.GroupSize, 0},
		{"mode", &q.Mode, 0},
		{"checkpoint_format", &q.Checkpoint, 0},
	}); err != nil {
		return nil, err
	}
	if err := checkBlock("weight_block_size", q.WeightBlockSize); err != nil {
		return nil, err
	}
	groups := r.get("config_groups")
	if groups == nil {
		return q, nil
	}
	if groups.Kind != strictjson.KindObject {
		return nil, invalid.Errorf("%q: %s instead of an object", "config_groups", shown(groups))
	}
	for i := range groups.Members {
		m := &groups.Members[i]
		g, err := parseGroup(m.Key, &m.Value)
		if err != nil {
			return nil, invalid.Errorf("%q: %q: %w", "config_groups", m.Key, err)
		}
		q.Groups = append(q.Groups, g)
	}
	return q, nil
}

func parseGroup(name string, v *strictjson.Value) (QuantGroup, error) {
	g := QuantGroup{Name: name}
	if v.Kind != strictjson.KindObject {
		return g, invalid.Errorf("%s instead of an object", shown(v))
	}
	r := reader{levels: []*strictjson.Value{v}, has: make(map[string]bool)}
	if err := r.readAll([]field{{"format", &g.Format, 0}, {"targets", &g.Targets, 0}}); err != nil {
		return g, err
	}
	if in := r.get("input_activations"); in != nil {
		g.Activations = true
		if in.Kind == strictjson.KindObject {
			of := reader{levels: []*strictjson.Value{in}, has: make(map[string]bool)}
			if err := of.readAll([]field{{"num_bits", &g.InputBits, 64}}); err != nil {
				return g, err
			}
		}
	}
	w := r.get("weights")
	if w == nil {
		return g, nil
	}
	if w.Kind != strictjson.KindObject {
		return g, invalid.Errorf("%q: %s instead of an object", "weights", shown(w))
	}
	r.levels = []*strictjson.Value{w}
	if err := r.readAll([]field{
		{"num_bits", &g.NumBits, 64},
		{"type", &g.Type, 0},
		{"strategy", &g.Strategy, 0},
		{"block_structure", &g.BlockStructure, 0},
		{"group_size", &g.GroupSize, 0},
	}); err != nil {
		return g, err
	}
	return g, checkBlock("block_structure", g.BlockStructure)
}

// checkBlock refuses a block that has no area.
func checkBlock(key string, block []int) error {
	if block == nil {
		return nil
	}
	if len(block) != 2 || block[0] < 1 || block[1] < 1 {
		return invalid.Errorf("%q: %d is not the height and width of a block", key, block)
	}
	return nil
}
