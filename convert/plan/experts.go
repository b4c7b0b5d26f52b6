package plan

import (
	"quern/formats"
	"quern/formats/model"
)

// ExpertParts are the matrices of a fused 3-D tensor: of gate_up [E,2I,H] the
// gate and the up matrix [I,H] of each expert, else one matrix of each. They are
// contiguous views with the names that block-FP8 checkpoints use.
func ExpertParts(t Tensor) ([]Tensor, error) {
	experts, rows, cols := t.Shape[0], t.Shape[1], t.Shape[2]
	names := []string{t.Meta.Part}
	if t.Meta.Part == "gate_up" {
		names = []string{"gate", "up"}
		if rows%2 != 0 {
			return nil, formats.Invalidf("tensor %q: %d rows do not divide into gate and up", t.Name, rows)
		}
		rows /= 2
	}
	size := t.DType.Bits() / 8
	var out []Tensor
	for e := range experts {
		for k, name := range names {
			part := t
			part.Shape = []int64{rows, cols}
			part.Source.Shape = part.Shape
			at := e
			if t.Source.Order != nil {
				at, part.Source.Order = int64(t.Source.Order[e]), nil
			}
			part.Source.Offset += (at*int64(len(names)) + int64(k)) * rows * cols * size
			part.Meta = model.Tensor{
				Role: model.RoutedExpert, Layer: t.Meta.Layer, Expert: int(e), Part: name, MTP: t.Meta.MTP, Quantize: true, Weights: 1,
				Module: t.Meta.ExpertModule(int(e), name), Param: "weight",
			}
			if len(names) == 2 {
				part.Meta.Fused = t.Meta.ExpertModule(int(e), "gate_up")
			}
			part.Name = part.Meta.Name()
			out = append(out, part)
		}
	}
	return out, nil
}
