package convert

import (
	"fmt"
	"slices"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
)

// staleWords is the stage that leaves out files which describe the quantization of
// the input: engines believe them before config.json, and of the output they are
// not true.
func staleWords(p *plan.Plan) error {
	p.Input.Side = slices.DeleteFunc(p.Input.Side, func(f plan.SideFile) bool {
		if !slices.Contains(hf.QuantizationNames, f.Name) {
			return false
		}
		p.Notes = append(p.Notes, f.Name+" is left out: it describes the quantization of the input")
		return true
	})
	return nil
}

// dropOrphans is the stage that leaves out scales of weights that are not quantized.
func dropOrphans(p *plan.Plan) error {
	byName := make(map[string]int, len(p.Tensors))
	for i := range p.Tensors {
		byName[p.Tensors[i].Name] = i
	}
	out := make([]plan.Tensor, 0, len(p.Tensors))
	var dropped []string
	for i := range p.Tensors {
		t := &p.Tensors[i]
		w, ok := byName[t.Meta.ScaleOf]
		if t.Meta.Role == model.Scale && t.Meta.Multiplies && ok && plan.Orphan(t, &p.Tensors[w]) {
			dropped = append(dropped, t.Name)
			continue
		}
		out = append(out, *t)
	}
	if len(dropped) == 0 {
		return nil
	}
	p.Tensors = out
	p.Regroup(func(int) bool { return false })
	p.Notes = append(p.Notes, fmt.Sprintf("%s left out: their weights are not quantized, and nothing is multiplied by them", few(dropped, "scales")))
	return nil
}
