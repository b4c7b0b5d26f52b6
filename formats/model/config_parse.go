package model

import (
	"math"
	"strings"

	"quern/internal/invalid"
	"quern/internal/strictjson"
)

// nested are objects within a config that hold keys like those beside them.
var nested = []string{
	"ffn_config",              // DBRX: its experts
	"sparse_attention_config", // MiniMax-M3: its indexer
}

// textPaths are where multimodal configs keep that of their text part.
var textPaths = [][]string{{"text_config"}, {"language_config"}, {"llm_config"}, {"thinker_config", "text_config"}}

// descend follows a path of keys; nil where one is missing or null.
func descend(v *strictjson.Value, path []string) *strictjson.Value {
	for _, k := range path {
		v = v.Get(k)
	}
	if v == nil || v.Kind == strictjson.KindNull {
		return nil
	}
	return v
}

// ParseConfig reads the object of a config.json. Errors that blame it match
// invalid.Input and begin with the key; keys that this package does not know
// are not looked at.
func ParseConfig(root *strictjson.Value) (*Config, error) {
	if root == nil || root.Kind != strictjson.KindObject {
		return nil, invalid.Errorf("the config is %s, not an object", kindOf(root))
	}
	r := reader{levels: []*strictjson.Value{root}, has: make(map[string]bool)}
	c := &Config{has: r.has}
	for _, path := range textPaths {
		v := descend(root, path)
		if v == nil {
			continue
		}
		if v.Kind != strictjson.KindObject {
			return nil, invalid.Errorf("%q: %s instead of an object", strings.Join(path, "."), v.Kind)
		}
		// What the text part lacks (dtype, token ids, quantization) stands outside.
		r.levels = []*strictjson.Value{v}
		for n := len(path) - 1; n > 0; n-- {
			r.levels = append(r.levels, descend(root, path[:n]))
		}
		r.levels = append(r.levels, root)
		c.Wrapper, _ = root.Get("model_type").Str()
		break
	}
	c.levels = r.levels
	for _, key := range nested {
		for _, l := range r.levels {
			if v := l.Get(key); v != nil && v.Kind == strictjson.KindObject {
				r.levels = append(r.levels, v)
				break
			}
		}
	}
	if err := r.readAll(c.fields()); err != nil {
		return nil, err
	}
	if err := r.derived(c); err != nil {
		return nil, err
	}
	if err := r.rope(c); err != nil {
		return nil, err
	}
	var err error
	if c.Quant, err = r.quantization(); err != nil {
		return nil, err
	}
	if f := findFamily(c); f.complete != nil {
		if err := f.complete(c); err != nil {
			return nil, err
		}
	}
	return c, c.checkWhole()
}

// derived reads the keys whose meaning depends on others, and fills defaults.
func (r *reader) derived(c *Config) error {
	// A number, or in newer models 0 or 1 for every layer.
	if v := r.get("moe_layer_freq"); v != nil && v.Kind == strictjson.KindArray {
		var list []int
		if err := read(field{"moe_layer_freq", &list, maxLayers}, v); err != nil {
			return err
		}
		if len(c.MLPLayerTypes) == 0 {
			for _, n := range list {
				t := "sparse"
				if n == 0 {
					t = "dense"
				}
				c.MLPLayerTypes = append(c.MLPLayerTypes, t)
			}
		}
	} else if err := r.readAll([]field{{"moe_layer_freq", &c.MoELayerFreq, maxLayers}}); err != nil {
		return err
	}
	var modules int
	var use bool
	if err := r.readAll([]field{{"num_mtp_modules", &modules, maxLayers}, {"use_mtp", &use, 0}}); err != nil {
		return err
	}
	if use && c.NumMTPLayers == 0 && modules > 0 {
		c.NumMTPLayers = modules
	}
	if err := r.layerKinds(c); err != nil {
		return err
	}
	if c.NumKVHeads == 0 {
		c.NumKVHeads = c.NumHeads
	}
	if c.HeadDim == 0 && c.NumHeads > 0 {
		c.HeadDim = c.HiddenSize / c.NumHeads
	}
	return nil
}

// reader finds keys in a config and, where that lacks them, in the one around it.
type reader struct {
	levels []*strictjson.Value
	has    map[string]bool
}

// minusOne are the keys for which configs write −1 where others write null.
var minusOne = map[string]bool{"bos_token_id": true, "eos_token_id": true, "sliding_window": true, "group_size": true, "moe_layer_end_index": true}

// get returns the value of a key, nil when it is absent or null everywhere.
func (r *reader) get(key string) *strictjson.Value {
	for _, l := range r.levels {
		v := l.Get(key)
		if v == nil || v.Kind == strictjson.KindNull {
			continue
		}
		if n, ok := v.Whole(); ok && n == -1 && minusOne[key] {
			continue
		}
		return v
	}
	return nil
}

// readAll reads the fields. All keys are checked, also those whose value another
// key already gave.
func (r *reader) readAll(fields []field) error {
	done := make(map[any]bool, len(fields))
	for _, f := range fields {
		v := r.get(f.key)
		if v == nil {
			continue
		}
		r.has[f.key] = true
		if done[f.dst] {
			f.dst = scratch(f.dst)
		} else {
			done[f.dst] = true
		}
		if err := read(f, v); err != nil {
			return err
		}
	}
	return nil
}

// scratch returns a destination of the same type that nobody reads.
func scratch(dst any) any {
	switch dst.(type) {
	case *int:
		return new(int)
	case *float64:
		return new(float64)
	case *bool:
		return new(bool)
	case *string:
		return new(string)
	case *[]int:
		return new([]int)
	case *[]float64:
		return new([]float64)
	}
	return new([]string)
}

// read converts one value. Numbers outside of what the field may hold are refused
// rather than clamped.
func read(f field, v *strictjson.Value) error {
	switch dst := f.dst.(type) {
	case *int:
		// Some models give a size by layer. One that all layers share is the size;
		// otherwise there is none, and whatever needs it says that it is unknown.
		if v.Kind == strictjson.KindArray {
			var list []int
			if err := read(field{f.key, &list, f.max}, v); err != nil {
				return err
			}
			*dst = same(list)
			return nil
		}
		n, err := integer(f, v)
		*dst = n
		return err
	case *[]int:
		if v.Kind == strictjson.KindNumber { // eos_token_id is one or a list
			n, err := integer(f, v)
			*dst = []int{n}
			return err
		}
		if v.Kind != strictjson.KindArray {
			return invalid.Errorf("%q: %s instead of a list of integers", f.key, shown(v))
		}
		list := make([]int, len(v.Elems))
		for i := range v.Elems {
			n, err := integer(f, &v.Elems[i])
			if err != nil {
				return err
			}
			list[i] = n
		}
		*dst = list
	case *[]float64:
		list, err := floats(f, v)
		*dst = list
		return err
	case *float64:
		if v.Kind == strictjson.KindArray { // as integers by layer
			list, err := floats(f, v)
			*dst = same(list)
			return err
		}
		x, err := float(f, v)
		*dst = x
		return err
	case *bool:
		b, ok := v.Bool()
		if !ok {
			return invalid.Errorf("%q: %s instead of true or false", f.key, shown(v))
		}
		*dst = b
	case *string:
		s, ok := v.Str()
		if !ok {
			return invalid.Errorf("%q: %s instead of a string", f.key, shown(v))
		}
		*dst = s
	case *[]string:
		if v.Kind != strictjson.KindArray {
			return invalid.Errorf("%q: %s instead of a list of strings", f.key, shown(v))
		}
		list := make([]string, len(v.Elems))
		for i := range v.Elems {
			s, ok := v.Elems[i].Str()
			if !ok {
				return invalid.Errorf("%q: element %d: %s instead of a string", f.key, i, shown(&v.Elems[i]))
			}
			list[i] = s
		}
		*dst = list
	}
	return nil
}

// integer reads a count or size between 0 and the limit of the field.
func integer(f field, v *strictjson.Value) (int, error) {
	most := f.max
	if most == 0 {
		most = maxSize
	}
	if v.Kind != strictjson.KindNumber {
		return 0, invalid.Errorf("%q: %s instead of an integer", f.key, shown(v))
	}
	n, ok := v.Whole()
	if !ok || n < 0 || n > int64(most) {
		return 0, invalid.Errorf("%q: %s is not an integer from 0 to %d", f.key, shown(v), most)
	}
	return int(n), nil
}

// float reads a number, one that is not negative unless the field says so.
func float(f field, v *strictjson.Value) (float64, error) {
	x, ok := v.Float64()
	if !ok || math.IsInf(x, 0) || !(x >= 0) && f.max != anySign {
		return 0, invalid.Errorf("%q: %s is no number that it can be", f.key, shown(v))
	}
	return x, nil
}

// floats reads a list of numbers.
func floats(f field, v *strictjson.Value) ([]float64, error) {
	if v.Kind != strictjson.KindArray {
		return nil, invalid.Errorf("%q: %s instead of a list of numbers", f.key, shown(v))
	}
	list := make([]float64, len(v.Elems))
	for i := range v.Elems {
		x, err := float(f, &v.Elems[i])
		if err != nil {
			return nil, err
		}
		list[i] = x
	}
	return list, nil
}

// same returns the value that all of a list share, 0 when there is none.
func same[T int | float64](list []T) T {
	for _, x := range list {
		if x != list[0] {
			return 0
		}
	}
	if len(list) == 0 {
		return 0
	}
	return list[0]
}

// shown is a value as messages quote it: short ones as they are, else their kind.
func shown(v *strictjson.Value) string {
	if v != nil && (v.Kind == strictjson.KindNumber || v.Kind == strictjson.KindBool) && len(v.Text) <= 32 {
		return v.Text
	}
	return kindOf(v)
}

func kindOf(v *strictjson.Value) string {
	if v == nil {
		return strictjson.KindNull.String()
	}
	return v.Kind.String()
}
