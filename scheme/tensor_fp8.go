package scheme

import (
	"encoding/binary"
	"fmt"
	"math"

	"quern/formats/safetensors"
	"quern/group"
)

// TensorFP8 writes E4M3 codes and one float32 scale, amax/448 of the tensor and of all
// that engines fuse with it (formats-2026.md §4, ModelOpt's FP8).
var TensorFP8 = &Scheme{
	Name:   "fp8-tensor",
	Title:  "with one scale for each tensor",
	Survey: true,
	Grain:  Grain{Rows: 1},
	Check: func(p Params, _, _ int64) error {
		if p != (Params{Vector: p.Vector}) {
			return errSetting
		}
		return nil
	},
	Outputs: func(p Params, rows, cols int64) []Output {
		return []Output{
			{Kind: Codes, DType: safetensors.F8E4M3, Shape: []int64{rows, cols}, TileRows: 1, TileCols: 1, Bits: 8},
			{Kind: Scale, DType: safetensors.F32, Shape: one(p.Vector), Bits: 32},
		}
	},
	Coder: func(j *Job) (Coder, error) {
		if err := j.surveyed(); err != nil {
			return nil, err
		}
		s := group.FP8Scale(j.Amax)
		return newRowCoder(group.FP8Tensor{Tensor: s}, map[int][]byte{1: float(s)}), nil
	},
	Inputs: fp8Inputs,
	Floor:  31,
}

// one is the shape of a single number, which compressed-tensors stores as a vector.
func one(vector bool) []int64 {
	if vector {
		return []int64{1}
	}
	return []int64{}
}

// surveyed says why Amax is none.
func (j *Job) surveyed() error {
	if !(j.Amax >= 0 && j.Amax <= math.MaxFloat32) {
		return fmt.Errorf("the largest magnitude is %v", j.Amax)
	}
	return nil
}

// float is a float32 as checkpoints store it.
func float(x float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)) }

// toFloat is its value.
func toFloat(raw []byte) (float32, error) {
	if len(raw) != 4 {
		return 0, fmt.Errorf("a scale of %d bytes is no float32", len(raw))
	}
	x := math.Float32frombits(binary.LittleEndian.Uint32(raw))
	if !(x > 0 && x <= math.MaxFloat32) {
		return 0, fmt.Errorf("the tensor's scale %v is not positive and finite", x)
	}
	return x, nil
}
