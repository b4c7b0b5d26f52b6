package plan

import (
	"fmt"
	"strings"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/scheme"
)

// PairScales maps the name of each FP8 weight to the index of its scale tensor,
// and refuses a weight without scale and a scale without weight. Scales of
// activations and caches belong to no weight and are left alone, and so are scales
// of weights that are not quantized, see [Orphan].
func PairScales(p *Plan) (map[string]int, error) {
	byName := make(map[string]int, len(p.Tensors))
	for i := range p.Tensors {
		byName[p.Tensors[i].Name] = i
	}
	scales := map[string]int{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Meta.Role != model.Scale || t.Meta.ScaleOf == "" {
			continue
		}
		w, ok := byName[t.Meta.ScaleOf]
		switch {
		case ok && secondScales[t.Meta.Param] && scheme.MayScale(p.Tensors[w].DType):
			return nil, invalid.Errorf("tensor %q: %q would have to be multiplied by it too, which is not known of FP8 weights", t.Name, t.Meta.ScaleOf)
		case !t.Meta.Multiplies:
			continue
		case !ok:
			return nil, invalid.Errorf("tensor %q: a scale without its weight %q", t.Name, t.Meta.ScaleOf)
		case Orphan(t, &p.Tensors[w]):
			continue
		case !scheme.MayScale(p.Tensors[w].DType):
			return nil, invalid.Errorf("tensor %q: a scale of %q, whose dtype %s needs none that is known here", t.Name, t.Meta.ScaleOf, p.Tensors[w].DType)
		}
		if other, ok := scales[t.Meta.ScaleOf]; ok {
			return nil, invalid.Errorf("tensor %q: a second scale of %q beside %q", t.Name, t.Meta.ScaleOf, p.Tensors[other].Name)
		}
		scales[t.Meta.ScaleOf] = i
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Meta.Role == model.Scale {
			continue
		}
		switch {
		case scheme.Coded(t.DType, &t.Meta):
			if _, ok := scales[t.Name]; !ok {
				return nil, unscaled(p, t)
			}
		case scheme.Refused(t.DType):
			return nil, invalid.Errorf("tensor %q: dtype %s is not supported: engines read FP8 weights as F8_E4M3 only", t.Name, t.DType)
		}
	}
	return scales, nil
}

// secondScales are parameters without which codes times their scale are not yet the
// weight: scales of the scales, and factors that were moved from activations.
var secondScales = map[string]bool{"weight_scale_2": true, "weight_global_scale": true, "pre_quant_scale": true}

// Orphan reports whether a scale belongs to a weight that is stored in BF16 or
// another wide type: transformers writes such scales for modules that it left
// alone, and nothing is to be multiplied by them.
func Orphan(scale, weight *Tensor) bool {
	_, wide := scheme.Elem(weight.DType)
	return wide && scale.Meta.Role == model.Scale && scale.Meta.ScaleOf == weight.Name
}

// unscaled is the error about codes that have no scale. It names what stands beside
// them and could be one that an exporter calls otherwise.
func unscaled(p *Plan, t *Tensor) error {
	var beside []string
	for i := range p.Tensors {
		o := &p.Tensors[i]
		near := t.Meta.Module != "" && o.Meta.Module == t.Meta.Module && o.Name != t.Name
		known := o.Meta.Role != model.Unknown && (o.Meta.Role != model.Scale || IsInputScale(o.Meta.Param) || IsCacheScale(&o.Meta))
		if near && !known && len(beside) < 4 {
			beside = append(beside, fmt.Sprintf("%q %s %v", o.Name, o.DType, o.Shape))
		}
	}
	if len(beside) == 0 {
		return invalid.Errorf("tensor %q: an FP8 weight without a scale (%s)", t.Name, t.Name+"_scale_inv")
	}
	return invalid.Errorf("tensor %q: an FP8 weight, and nothing beside it has the name of its scale (%s): there is %s", t.Name, t.Name+"_scale_inv", strings.Join(beside, ", "))
}

// IsInputScale reports whether a scale parameter is that of a linear's input.
func IsInputScale(param string) bool {
	// input_scale: vLLM, modelopt; activation_scale: transformers; input_global_scale:
	// compressed-tensors' NVFP4. Experts in one tensor have their parameter's name before
	// it.
	return strings.HasSuffix(param, "input_scale") || strings.HasSuffix(param, "activation_scale") || InverseInputScale(param)
}

// InverseInputScale reports whether an input scale divides what others multiply by: it is
// 1/input_scale (formats-2026.md §4.2).
func InverseInputScale(param string) bool { return strings.HasSuffix(param, "input_global_scale") }

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
// weight_block_size, or nil. The matrices of fused experts [E,o,i] are taken as one
// [E·o,i], whose scales begin anew with each: [E,…], or one for all.
func ScaleGrid(w, scale *Tensor, block []int64) (Grid, error) {
	if n := len(w.Shape); n != 2 && n != 3 {
		return Grid{}, invalid.Errorf("tensor %q: an FP8 weight of shape %v is no matrix", w.Name, w.Shape)
	}
	if !scheme.ScaleType(scale.DType) {
		return Grid{}, invalid.Errorf("tensor %q: scales of dtype %s are not known", scale.Name, scale.DType)
	}
	g, err := scheme.GridOver(w.Shape, scale.Shape, block)
	if err != nil {
		return Grid{}, invalid.Errorf("tensor %q: %w", scale.Name, err)
	}
	return g, nil
}
