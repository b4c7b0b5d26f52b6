package scheme

import (
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
)

// MXFP4 writes E2M1 codes, two to a byte, and an E8M0 scale for every 32 weights of a
// row (formats-2026.md §4.3). Scales are compressed-tensors' and torchao's EVEN unless
// the settings name another rule.
var MXFP4 = &Scheme{
	Name:    "mxfp4",
	Title:   "with a power of two for every 32 weights",
	Experts: true,
	Grain:   Grain{Rows: 1},
	Check: func(p Params, _, cols int64) error {
		if p != (Params{Rule: p.Rule}) || p.Rule > group.ScaleFloor {
			return errSetting
		}
		return wholeGroups("mxfp4", 32, cols)
	},
	Outputs: func(_ Params, rows, cols int64) []Output {
		return []Output{
			{Kind: Codes, DType: safetensors.U8, Shape: []int64{rows, cols / 2}, TileRows: 1, TileCols: 1, Bits: 4},
			{Kind: Scale, DType: safetensors.U8, Shape: []int64{rows, cols / 32}, TileRows: 1, TileCols: 32, Bits: 8},
		}
	},
	Coder: func(j *Job) (Coder, error) { return newRowCoder(group.MXFP4{Rule: j.Rule}, nil), nil },
	Decode: func(_ Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		return decodeRows(group.MXFP4{}, dst, stride, elem, in, part)
	},
	Recode: func(_ Params, in [][]byte, m fp8.Matrix, part Part) error {
		return recodeRows(group.MXFP4{}, in, m, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		if w.DType != safetensors.U8 || w.Meta.Param != "weight_packed" || len(w.Shape) != 2 {
			return Found{}, false
		}
		scale, ok := beside("weight_scale")
		if !ok || !PowersOfTwo(scale.DType) {
			return Found{}, false
		}
		rows, cols := w.matrix(2)
		return Found{Scales: []string{scale.Name}, Rows: rows, Cols: cols}, true
	},
	Inputs: mxfp4Inputs,
	Floor:  18.4, // of normal weights 18.5 with the rule that does worst (formats-2026.md §4.3)
}
