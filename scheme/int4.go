package scheme

import (
	"encoding/binary"
	"fmt"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
)

// INT4 writes integers of 4 bits, eight to a word, a BF16 scale for every 32 weights of
// a row, and the shape of the matrix: pack-quantized of compressed-tensors, in which
// Kimi's models are released (formats-2026.md §4.5).
var INT4 = &Scheme{
	Name:    "int4",
	Title:   "with a BF16 scale for every 32 weights",
	Experts: true,
	Grain:   Grain{Rows: 1},
	Check: func(p Params, _, cols int64) error {
		if p != (Params{Search: p.Search, Range: p.Range}) || p.Range > group.Range7 {
			return errSetting
		}
		return wholeGroups("int4", 32, cols)
	},
	Outputs: func(_ Params, rows, cols int64) []Output {
		return []Output{
			{Kind: Codes, DType: safetensors.I32, Shape: []int64{rows, cols / 8}, TileRows: 1, TileCols: 1, Bits: 4},
			{Kind: Scale, DType: safetensors.BF16, Shape: []int64{rows, cols / 32}, TileRows: 1, TileCols: 32, Bits: 16},
			{Kind: Dimensions, DType: safetensors.I64, Shape: []int64{2}, Bits: 64},
		}
	},
	Coder: func(j *Job) (Coder, error) {
		f := group.INT4{Range: j.Range, Search: group.Search{By: j.Search, Weights: j.Channels, Worst: j.Worst}}
		return newRowCoder(f, map[int][]byte{2: dimensions(j.Rows, j.Cols)}), nil
	},
	Decode: func(_ Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		if err := sameDimensions(in[2], part); err != nil {
			return err
		}
		return decodeRows(group.INT4{}, dst, stride, elem, in, part)
	},
	Recode: func(_ Params, in [][]byte, m fp8.Matrix, part Part) error {
		return recodeRows(group.INT4{}, in, m, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		if w.DType != safetensors.I32 || w.Meta.Param != "weight_packed" || len(w.Shape) != 2 {
			return Found{}, false
		}
		scale, ok := beside("weight_scale")
		shape, also := beside("weight_shape")
		_, zeros := beside("weight_zero_point")
		_, order := beside("weight_g_idx")
		rows, cols := w.matrix(8)
		if !ok || !also || zeros || order || scale.DType != safetensors.BF16 || shape.DType != safetensors.I64 ||
			len(scale.Shape) != 2 || scale.Shape[1]*32 != cols {
			return Found{}, false
		}
		return Found{Scales: []string{scale.Name, shape.Name}, Rows: rows, Cols: cols}, true
	},
	Floor: 20, // of normal weights 20.7 with either range
}

// dimensions are a matrix's shape as compressed-tensors stores it.
func dimensions(rows, cols int64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(rows)), uint64(cols))
}

// sameDimensions says that stored dimensions are not those of a matrix that has a part.
func sameDimensions(raw []byte, part Part) error {
	if len(raw) != 16 {
		return fmt.Errorf("a shape of %d bytes is none of a matrix", len(raw))
	}
	rows, cols := int64(binary.LittleEndian.Uint64(raw)), int64(binary.LittleEndian.Uint64(raw[8:]))
	if cols != part.Cols || rows < part.Row+part.Rows {
		return fmt.Errorf("weight_shape says [%d %d], and the codes are of %d columns and at least %d rows", rows, cols, part.Cols, part.Row+part.Rows)
	}
	return nil
}
