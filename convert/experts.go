package convert

import (
	"fmt"
	"slices"

	"quern/convert/plan"
)

// splitExperts gives each expert of a fused 3-D tensor the names that block-FP8
// checkpoints use: gate_up_proj [E,2I,H] becomes E times gate_proj and up_proj
// [I,H], down_proj [E,H,I] E times down_proj. The parts are views, turned round where
// the tensor is [E,H,2I] and [E,I,H]; tensors that options keep stay fused.
func (q *quantizer) splitExperts(p *plan.Plan) error {
	scales := map[string]int{} // of fused FP8 experts, by the weight's name
	for i := range p.Tensors {
		if m := &p.Tensors[i].Meta; m.Multiplies {
			scales[m.ScaleOf] = i
		}
	}
	out := make([]plan.Tensor, 0, len(p.Tensors))
	split, gone := 0, map[string]bool{}
	for i := range p.Tensors {
		t := p.Tensors[i]
		_, isFloat := plan.Elem(t.DType)
		at, scaled := scales[t.Name]
		isCodes := t.Coded() && scaled
		if !t.Meta.Fused3D || !t.Meta.Quantize || len(t.Shape) != 3 || !isFloat && !isCodes || q.keepFused(&t) != "" {
			out = append(out, t)
			continue
		}
		if isCodes {
			from := &p.Tensors[at]
			grid, err := plan.ScaleGrid(&t, from, quantization(q.checkpoint).Tile())
			if err != nil {
				return err
			}
			parts, err := plan.ExpertScales(t, *from, grid)
			if err != nil {
				return err
			}
			out, gone[from.Name] = append(out, parts...), true
		}
		parts, err := plan.ExpertParts(t)
		if err != nil {
			return err
		}
		out = append(out, parts...)
		split++
	}
	if split > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%d fused expert tensors are split: engines read block FP8 by expert", split))
	}
	out = slices.DeleteFunc(out, func(t plan.Tensor) bool { return gone[t.Name] })
	p.Tensors = out
	p.Regroup(func(int) bool { return false })
	return nil
}

// keepFused says why an option keeps the module that holds the experts, "" if
// none does.
func (q *quantizer) keepFused(t *plan.Tensor) string {
	two := *t
	out, in := t.Shape[1], t.Shape[2]
	if t.Meta.Transposed {
		out, in = in, out
	}
	if t.Meta.Part == "gate_up" {
		out /= 2
	}
	two.Shape = []int64{out, in}
	return q.keep(&two)
}
