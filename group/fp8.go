package group

import (
	"encoding/binary"
	"fmt"
	"math"

	"quern/fp8"
)

// FP8Rows writes E4M3 codes with one scale for each row: amax/448, at least 2⁻¹²⁶
// and 1 where the row is 0, rounded to the type of Scale. A row has to be coded at
// once.
type FP8Rows struct {
	Scale fp8.Elem // ElemBF16 or ElemF32
}

// Layout implements [Format].
func (f FP8Rows) Layout() Layout { return Layout{CodeBits: 8, ScaleBytes: f.Scale.Size()} }

// Encode implements [Format].
func (f FP8Rows) Encode(dst Coded, rows []Row, m fp8.Matrix) error {
	if f.Scale != fp8.ElemBF16 && f.Scale != fp8.ElemF32 {
		return fmt.Errorf("encoding: no scales of type %v", f.Scale)
	}
	if err := checkEncode(f.Layout(), &dst, rows, &m); err != nil {
		return err
	}
	if m.Cols == 0 {
		return nil
	}
	for r := range m.Rows {
		one := m
		one.Data, one.Rows = m.Data[r*m.Stride*m.Elem.Size():], 1
		amax, finite := Amax(one)
		if !finite {
			rows[r].nonFinite = true
			continue
		}
		s := FP8Scale(amax)
		scale := dst.Scales[r*dst.ScaleStride:]
		if f.Scale == fp8.ElemBF16 {
			p := fp8.BF16FromFloat32(s)
			binary.LittleEndian.PutUint16(scale, p)
			s = fp8.BF16ToFloat32(p)
		} else {
			binary.LittleEndian.PutUint32(scale, math.Float32bits(s))
		}
		rows[r].groups++
		if amax == 0 {
			rows[r].zeroGroups++
		}
		encodeScaled(dst.Codes[r*dst.CodeStride:], 0, rows[r:r+1], one, s)
	}
	return nil
}

// Decode implements [Format].
func (f FP8Rows) Decode(dst []byte, dstStride int, elem fp8.Elem, src Coded, rows, cols int) error {
	if err := checkDecode(f.Layout(), dst, dstStride, elem, &src, rows, cols); err != nil {
		return err
	}
	if cols == 0 {
		return nil
	}
	scales := make([]float32, rows)
	for r := range scales {
		f.Scale.Decode(scales[r:r+1], src.Scales[r*src.ScaleStride:])
	}
	return fp8.Dequantize(dst, dstStride, elem, src.Codes, src.CodeStride, rows, cols,
		fp8.Grid{Scales: scales, Rows: rows, Cols: 1, TileRows: 1, TileCols: max(cols, 1)})
}

// FP8Tensor writes E4M3 codes with a scale that is given for all of a tensor.
type FP8Tensor struct {
	Tensor float32 // from [FP8Scale]
}

// FP8Scale returns the scale for a tensor whose largest magnitude is amax: amax/448,
// at least 2⁻¹²⁶, and 1 where all weights are 0.
func FP8Scale(amax float32) float32 {
	if amax == 0 {
		return 1
	}
	return max(amax/e4m3Max, 0x1p-126)
}

// Layout implements [Format].
func (FP8Tensor) Layout() Layout { return Layout{CodeBits: 8} }

// Encode implements [Format]. Rows may be cut at multiples of 8 columns.
func (f FP8Tensor) Encode(dst Coded, rows []Row, m fp8.Matrix) error {
	if err := checkEncode(f.Layout(), &dst, rows, &m); err != nil {
		return err
	}
	if !(f.Tensor >= 0x1p-126 && f.Tensor <= math.MaxFloat32) {
		return fmt.Errorf("encoding: %v is no tensor scale", f.Tensor)
	}
	encodeScaled(dst.Codes, dst.CodeStride, rows, m, f.Tensor)
	return nil
}

// Decode implements [Format].
func (f FP8Tensor) Decode(dst []byte, dstStride int, elem fp8.Elem, src Coded, rows, cols int) error {
	return fp8.Dequantize(dst, dstStride, elem, src.Codes, src.CodeStride, rows, cols,
		fp8.Grid{Scales: []float32{f.Tensor}, Rows: 1, Cols: 1, TileRows: max(rows, 1), TileCols: max(cols, 1)})
}
