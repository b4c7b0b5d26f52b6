package plan

import (
	"slices"

	"quern/formats/model"
	"quern/internal/invalid"
)

// ExpertParts are the matrices of a fused 3-D tensor: of gate_up [E,2I,H] the
// gate and the up matrix [I,H] of each expert, else one matrix of each. They are
// views with the names that block-FP8 checkpoints use; contiguous ones, unless the
// tensor is transposed ([E,H,2I]).
func ExpertParts(t Tensor) ([]Tensor, error) {
	experts, rows, cols := t.Shape[0], t.Shape[1], t.Shape[2]
	var stride int64
	if t.Meta.Transposed {
		rows, cols = cols, rows
		stride = rows
	}
	names := []string{t.Meta.Part}
	if t.Meta.Part == "gate_up" {
		names = []string{"gate", "up"}
		if rows%2 != 0 {
			return nil, invalid.Errorf("tensor %q: %d rows do not divide into gate and up", t.Name, rows)
		}
		rows /= 2
	}
	size := t.DType.Bits() / 8
	var out []Tensor
	for e := range experts {
		for k, name := range names {
			part := t
			if t.Written != nil {
				var err error
				if part, err = t.matrix(e, int64(k)*rows, rows); err != nil {
					return nil, err
				}
				part.Meta = expertMeta(&t.Meta, e, name, len(names) == 2)
				part.Name = part.Meta.Name()
				out = append(out, part)
				continue
			}
			part.Shape = []int64{rows, cols}
			part.Source.Shape = part.Shape
			at := e
			if t.Source.Order != nil {
				at, part.Source.Order = int64(t.Source.Order[e]), nil
			}
			part.Source.Offset += at * int64(len(names)) * rows * cols * size
			if part.Source.Stride = stride; stride > 0 {
				part.Source.Offset += int64(k) * rows * size
			} else {
				part.Source.Offset += int64(k) * rows * cols * size
			}
			part.Meta = expertMeta(&t.Meta, e, name, len(names) == 2)
			part.Name = part.Meta.Name()
			out = append(out, part)
		}
	}
	return out, nil
}

// expertMeta is what the matrix of a part of expert e of fused experts is; both says that
// it shares its rows with another part.
func expertMeta(t *model.Tensor, e int64, part string, both bool) model.Tensor {
	m := model.Tensor{
		Role: model.RoutedExpert, Layer: t.Layer, Expert: int(e), Part: part, MTP: t.MTP, Quantize: true, Weights: 1,
		Module: t.ExpertModule(int(e), part), Param: "weight",
	}
	if both {
		m.Fused = t.ExpertModule(int(e), "gate_up")
	}
	return m
}

// ExpertScales are the scales of the matrices that [ExpertParts] makes of w, whose
// own lie over it as grid says. Tiles that reach from gate into up belong to both
// only when they hold all of both; others are refused.
func ExpertScales(w, scale Tensor, grid Grid) ([]Tensor, error) {
	parts, err := ExpertParts(w)
	if err != nil {
		return nil, err
	}
	experts := w.Shape[0]
	per := int64(len(parts)) / max(experts, 1) // matrices of an expert
	rows := grid.Rows / max(experts, 1)        // scale rows of an expert
	share, step := rows/max(per, 1), scale.DType.Bits()/8*grid.Cols
	if inner := w.Shape[1] / max(per, 1); rows > 1 && per > 1 && inner%grid.TileRows != 0 {
		return nil, invalid.Errorf("tensor %q: its tiles of %d rows reach from gate to up in %q; convert it to BF16 first (quern convert --to bf16)", scale.Name, grid.TileRows, w.Name)
	}
	for i := range parts {
		p := &parts[i]
		e, k := int64(i)/per, int64(i)%per
		view := scale.Source
		switch {
		case grid.Rows == 1: // one for all experts
			view.Shape = []int64{1, 1}
		case rows == 1: // one row for all matrices of the expert
			view.Shape = []int64{1, grid.Cols}
			view.Offset += e * step
		default:
			view.Shape = []int64{share, grid.Cols}
			view.Offset += (e*rows + k*share) * step
		}
		weight := p.Name
		s := scale
		s.Name, s.Shape, s.Source = weight+"_scale_inv", slices.Clone(view.Shape), view
		s.Meta = p.Meta
		s.Meta.Role, s.Meta.Param, s.Meta.ScaleOf, s.Meta.Multiplies = model.Scale, "weight_scale_inv", weight, true
		s.Meta.Quantize, s.Meta.Why, s.Meta.Weights = false, "scale", 0
		s.Why = "scale"
		*p = s
	}
	return parts, nil
}
