package convert

import (
	"slices"
	"strings"

	"quern/convert/container"
	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/scheme"
)

// FP8 that the input has and that stays is taken over code by code, under the names of the
// container. Of block FP8, see codes.

// holders says which containers hold a scheme beside those that the options name; "" if
// none does.
func (q *quantizer) holders(s *scheme.Scheme) string {
	all := q.Schemes()
	if !slices.Contains(all, s) {
		all = append(all, s)
	}
	var names []string
	for _, c := range container.All {
		if c.Holds(all...) {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "take --container " + strings.Join(names, " or ") + ", or "
}

// takeOver returns weight t and its scale from as they are in the form of their scheme.
// Scales of rows keep their dtype: compressed-tensors stores that of the weight.
func (q *quantizer) takeOver(t plan.Tensor, from *plan.Tensor, own *scheme.Scheme) ([]plan.Tensor, error) {
	form := q.form(own)
	outputs := own.Outputs(form.Params(), t.Shape[0], t.Shape[1])
	w, s := output(form, &t, 0, &outputs[0]), output(form, &t, 1, &outputs[1])
	w.Op, w.Quant.Scheme = plan.Copy, own.Name
	s.Op, s.Source = plan.Copy, from.Source
	switch own {
	case scheme.TensorFP8:
		s.Op = plan.Widen
	case scheme.ChannelFP8:
		s.DType = from.DType
	case scheme.MXFP8: // the same bytes in either dtype of E8M0
		s.Source.DType = safetensors.U8
	}
	return []plan.Tensor{w, s}, nil
}

// broughtScales are the scales of inputs that weights which are taken over have in the
// input, by module, where the container wants one: they are as good as what was measured
// for them.
func (q *quantizer) broughtScales(p *plan.Plan) map[string]*plan.Tensor {
	brought := map[string]*plan.Tensor{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if q.taken[t.Meta.Module] && !q.StaticActivations && plan.IsInputScale(t.Meta.Param) && !plan.InverseInputScale(t.Meta.Param) &&
			len(scheme.Flat(t.Shape)) <= 2 && t.Bytes() == t.DType.Bits()/8 {
			brought[t.Meta.Module] = t
		}
	}
	return brought
}
