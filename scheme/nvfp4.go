package scheme

import (
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
	"quern/internal/invalid"
)

// NVFP4 writes E2M1 codes, two to a byte, an E4M3 scale for every 16 weights of a row,
// and a float32 scale of the tensor, which fused partners share (formats-2026.md §4.1;
// rules and bytes are ModelOpt's).
var NVFP4 = &Scheme{
	Name:    "nvfp4",
	Title:   "with an E4M3 scale for every 16 weights",
	Experts: true,
	Survey:  true,
	Grain:   Grain{Rows: 1},
	Check: func(p Params, _, cols int64) error {
		if p.UE8M0 || p.Rule != 0 || p.Range != 0 || p.Expanded || p.Vector {
			return errSetting
		}
		return wholeGroups("nvfp4", 16, cols)
	},
	Outputs: func(p Params, rows, cols int64) []Output {
		return []Output{
			{Kind: Codes, DType: safetensors.U8, Shape: []int64{rows, cols / 2}, TileRows: 1, TileCols: 1, Bits: 4},
			{Kind: Scale, DType: safetensors.F8E4M3, Shape: []int64{rows, cols / 16}, TileRows: 1, TileCols: 16, Bits: 8},
			{Kind: TensorScale, DType: safetensors.F32, Shape: one(p.Divides), Bits: 32},
		}
	},
	Coder: func(j *Job) (Coder, error) {
		if err := j.surveyed(); err != nil {
			return nil, err
		}
		s := group.NVFP4Scale(j.Amax)
		stored := s
		if j.Divides {
			stored = group.NVFP4Inverse(s)
		}
		f := group.NVFP4{Tensor: s, Divides: j.Divides, Search: group.Search{By: j.Search, Weights: j.Channels, Worst: j.Worst}}
		return newRowCoder(f, map[int][]byte{2: float(stored)}), nil
	},
	Decode: func(p Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		s, err := toFloat(in[2])
		if err != nil {
			return err
		}
		return decodeRows(group.NVFP4{Tensor: s, Divides: p.Divides}, dst, stride, elem, in, part)
	},
	Recode: func(p Params, in [][]byte, m fp8.Matrix, part Part) error {
		s, err := toFloat(in[2])
		if err != nil {
			return err
		}
		return recodeRows(group.NVFP4{Tensor: s, Divides: p.Divides}, in, m, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		if w.DType != safetensors.U8 || len(w.Shape) < 2 {
			return Found{}, false
		}
		scale, ok := beside("weight_scale")
		if !ok || scale.DType != safetensors.F8E4M3 {
			return Found{}, false
		}
		for _, x := range []struct {
			param   string
			divides bool
		}{{"weight_scale_2", false}, {"weight_global_scale", true}} { // ModelOpt, compressed-tensors
			if tensor, ok := beside(x.param); ok && elements(tensor.Shape) == 1 {
				rows, cols := w.matrix(2)
				return Found{Params: Params{Divides: x.divides}, Scales: []string{scale.Name, tensor.Name}, Rows: rows, Cols: cols}, true
			}
		}
		return Found{}, false
	},
	Inputs: nvfp4Inputs,
	Floor:  20, // of normal weights 20.4 (formats-2026.md §4.2)
}

// wholeGroups says why rows of cols weights cannot be divided into groups.
func wholeGroups(name string, group, cols int64) error {
	if cols%group != 0 {
		return invalid.Errorf("%d columns are no multiple of the %d weights that share a scale in %s: keep it with --keep, or take fp8", cols, group, name)
	}
	return nil
}
