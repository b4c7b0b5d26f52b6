package convert

import (
	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
	"quern/scheme"
	"quern/source"
)

// Weights that were INT4 before, as in BF16 copies of Kimi's models, come back bit for
// bit with the range 7: every group has a ±7 (formats-2026.md §4.5). Of other weights
// next to none do, so that a few groups tell.
const (
	sampledMatrices = 16
	sampledBytes    = 64 << 10 // of each
)

// chooseRange is the stage that takes 7 for the range of INT4 where nobody asked for
// one and the weights lie on its grid: all groups of a sample of BF16 matrices.
func (q *quantizer) chooseRange(p *plan.Plan) error {
	if q.Scheme != scheme.INT4 || q.Range != nil {
		return nil
	}
	chosen := group.Range7Half
	q.Range = &chosen
	var from []*plan.Tensor
	for i := range p.Tensors {
		if t := &p.Tensors[i]; q.quantized[i] && t.Source.DType == safetensors.BF16 && q.Scheme.Takes(scheme.Params{}, t.DType, t.Shape) == nil {
			from = append(from, t)
		}
	}
	files := source.New(q.checkpoint, nil)
	defer files.Close()
	step := max(len(from)/sampledMatrices, 1)
	groups := int64(0)
	for i := 0; i < len(from); i += step {
		n, on, err := onGrid(files, from[i])
		if err != nil {
			return err
		}
		if !on {
			return nil
		}
		groups += n
	}
	if groups == 0 { // zeros lie on every grid
		return nil
	}
	chosen = group.Range7
	p.Notes = append(p.Notes, "the weights are those of an INT4 checkpoint with the range 7, which comes back bit for bit: --int4-range 7 is taken")
	return nil
}

// onGrid reports whether the first rows of a matrix come back bit for bit, and how many
// of their groups are not zero.
func onGrid(files *source.Files, t *plan.Tensor) (groups int64, on bool, err error) {
	cols := t.Shape[1]
	rows := min(max(sampledBytes/(2*cols), 1), t.Shape[0])
	raw := make([]byte, 2*rows*cols)
	if err := files.Read(&t.Source, raw, 0); err != nil {
		return 0, false, err
	}
	m := fp8.Matrix{Data: raw, Elem: fp8.ElemBF16, Rows: int(rows), Cols: int(cols), Stride: int(cols)}
	if _, finite := scheme.Amax(m); !finite {
		return 0, false, nil // the run says where
	}
	proof, err := group.RoundTrip(group.INT4{Range: group.Range7}, m)
	if err != nil || !proof.Lossless() {
		return 0, false, err
	}
	for i := 0; i < len(raw); i += 64 {
		for _, b := range raw[i : i+64] {
			if b != 0 {
				groups++
				break
			}
		}
	}
	return groups, true, nil
}
