package scheme

import (
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
)

// ChannelFP8 writes E4M3 codes and a BF16 scale for each row, amax/448 (FP8_DYNAMIC of
// compressed-tensors: formats.md §3.2).
var ChannelFP8 = &Scheme{
	Name:  "fp8-channel",
	Title: "with a scale for each row",
	Grain: Grain{Rows: 1},
	Check: func(p Params, _, _ int64) error {
		if p != (Params{}) {
			return errSetting
		}
		return nil
	},
	Outputs: func(_ Params, rows, cols int64) []Output {
		return []Output{
			{Kind: Codes, DType: safetensors.F8E4M3, Shape: []int64{rows, cols}, TileRows: 1, TileCols: 1, Bits: 8},
			{Kind: Scale, DType: safetensors.BF16, Shape: []int64{rows, 1}, TileRows: 1, TileCols: cols, Bits: 16},
		}
	},
	Coder:  func(*Job) (Coder, error) { return newRowCoder(group.FP8Rows{Scale: fp8.ElemBF16}, nil), nil },
	Inputs: fp8Inputs,
	Floor:  31, // of normal weights 31.4
}
