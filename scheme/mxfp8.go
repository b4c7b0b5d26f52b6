package scheme

import (
	"quern/formats/safetensors"
	"quern/group"
)

// MXFP8 writes E4M3 codes and an E8M0 scale for every 32 weights of a row, the least
// power of two that keeps them within 448 (formats-2026.md §4.4; bytes are ModelOpt's).
var MXFP8 = &Scheme{
	Name:  "mxfp8",
	Title: "with a power of two for every 32 weights",
	Grain: Grain{Rows: 1},
	Check: func(p Params, _, cols int64) error {
		if p != (Params{}) {
			return errSetting
		}
		return wholeGroups("mxfp8", 32, cols)
	},
	Outputs: func(_ Params, rows, cols int64) []Output {
		return []Output{
			{Kind: Codes, DType: safetensors.F8E4M3, Shape: []int64{rows, cols}, TileRows: 1, TileCols: 1, Bits: 8},
			{Kind: Scale, DType: safetensors.U8, Shape: []int64{rows, cols / 32}, TileRows: 1, TileCols: 32, Bits: 8},
		}
	},
	Coder:  func(*Job) (Coder, error) { return newRowCoder(group.MXFP8{}, nil), nil },
	Inputs: mxfp8Inputs,
	Floor:  31, // of normal weights 31.5 (formats.md §2)
}
