package plan

import (
	"quern/formats"
	"quern/formats/model"
	"quern/formats/safetensors"
)

// PairScales maps the name of each FP8 weight to the index of its scale tensor,
// and refuses a weight without scale and a scale without weight. Scales of
// activations and caches belong to no weight and are left alone.
func PairScales(p *Plan) (map[string]int, error) {
	byName := make(map[string]int, len(p.Tensors))
	for i := range p.Tensors {
		byName[p.Tensors[i].Name] = i
	}
	scales := map[string]int{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Meta.Role != model.Scale || !IsWeightScale(t.Meta.Param) {
			continue
		}
		w, ok := byName[t.Meta.ScaleOf]
		if !ok {
			return nil, formats.Invalidf("tensor %q: a scale without its weight %q", t.Name, t.Meta.ScaleOf)
		}
		if p.Tensors[w].DType != safetensors.F8E4M3 && p.Tensors[w].DType != safetensors.F8E5M2 {
			return nil, formats.Invalidf("tensor %q: a scale of %q, whose dtype %s needs none that is known here", t.Name, t.Meta.ScaleOf, p.Tensors[w].DType)
		}
		if other, ok := scales[t.Meta.ScaleOf]; ok {
			return nil, formats.Invalidf("tensor %q: a second scale of %q beside %q", t.Name, t.Meta.ScaleOf, p.Tensors[other].Name)
		}
		scales[t.Meta.ScaleOf] = i
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Meta.Role == model.Scale {
			continue
		}
		switch t.DType {
		case safetensors.F8E4M3:
			if _, ok := scales[t.Name]; !ok {
				return nil, formats.Invalidf("tensor %q: an FP8 weight without a scale (%s)", t.Name, t.Name+"_scale_inv")
			}
		case safetensors.F8E5M2, safetensors.F8E4M3FNUZ, safetensors.F8E5M2FNUZ:
			return nil, formats.Invalidf("tensor %q: dtype %s is not supported: engines read FP8 weights as F8_E4M3 only", t.Name, t.DType)
		}
	}
	return scales, nil
}

// IsWeightScale reports whether a scale parameter multiplies a weight.
func IsWeightScale(param string) bool {
	switch param {
	case "weight_scale_inv", "weight_scale", "scale":
		return true
	}
	return false
}

// IsInputScale reports whether a scale parameter is that of a linear's input.
func IsInputScale(param string) bool {
	switch param {
	case "input_scale", "activation_scale": // vLLM, modelopt; transformers
		return true
	}
	return false
}

// IsCacheScale reports whether m is a scale of keys or values that attention keeps.
func IsCacheScale(m *model.Tensor) bool {
	switch m.Param {
	case "k_scale", "v_scale", "kv_scale":
		return true
	case "output_scale": // what vLLM also takes for one
		return m.Part == "k" || m.Part == "v"
	}
	return false
}

// ScaleGrid recognises the layout of a weight's scales. block is the config's
// weight_block_size, or nil.
func ScaleGrid(w, scale *Tensor, block []int64) (Grid, error) {
	if len(w.Shape) != 2 {
		return Grid{}, formats.Invalidf("tensor %q: an FP8 weight of shape %v is no matrix", w.Name, w.Shape)
	}
	switch scale.DType {
	case safetensors.F32, safetensors.BF16, safetensors.F16, safetensors.F8E8M0, safetensors.U8:
	default:
		return Grid{}, formats.Invalidf("tensor %q: scales of dtype %s are not known", scale.Name, scale.DType)
	}
	g, err := GridOf(w.Shape[0], w.Shape[1], scale.Shape, block)
	if err != nil {
		return Grid{}, formats.Invalidf("tensor %q: %w", scale.Name, err)
	}
	return g, nil
}
