package scheme

import (
	"bytes"
	"strings"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
	"quern/internal/invalid"
	"quern/packed"
)

// mxfp4Elsewhere recognises what [MXFP4] writes under other names than its own, and in
// three dimensions: weight and weight_scale of Quark, weight (I8) and scale of
// DeepSeek-V4, and eight codes to a word, weight and scales of MLX, which are the same
// bytes (formats-2026.md §4.3).
func mxfp4Elsewhere(w *Stored, beside Beside) (Found, bool) {
	var per int64
	scale := ""
	switch {
	case w.DType == safetensors.U8:
		per, scale = 2, fp4Scale(w)
	case w.DType == safetensors.I8:
		per, scale = 2, "scale"
	case words(w.DType) && w.Meta.Param == "weight":
		per, scale = 8, "scales"
	}
	s, ok := beside(scale)
	if !ok && w.DType == safetensors.U8 && w.Meta.Param == "weight" {
		s, ok = beside("scale") // DeepSeek-V4
	}
	if !ok || !powers(s.DType) || w.DType == safetensors.I8 && s.DType != safetensors.F8E8M0 || !same(w.Shape, s.Shape) || last(w.Shape)*per != last(s.Shape)*32 {
		return Found{}, false
	}
	if per == 8 && w.Config != nil && w.Config.Mode != "" && w.Config.Mode != "mxfp4" {
		return Found{}, false
	}
	rows, cols := w.matrix(per)
	return Found{Scheme: MXFP4, Scales: []string{s.Name}, Rows: rows, Cols: cols}, true
}

// fp4Scale is the parameter that holds the scales of codes in U8.
func fp4Scale(w *Stored) string {
	if p := w.Meta.Param; p != "weight" && p != "weight_packed" {
		return p + "_weight_scale" // experts in one tensor
	}
	return "weight_scale"
}

// MXFP4Turned is the same in gpt-oss: [experts, out, groups, 16] blocks, of which a
// checkpoint in numbers has [experts, in, out]. Its rows are inputs.
var MXFP4Turned = &Scheme{
	Name:  "mxfp4-gpt-oss",
	Title: "MXFP4, with a power of two for every 32 weights, outputs first",
	Floor: MXFP4.Floor,
	Grain: Grain{Rows: 32},
	Check: func(p Params, rows, _ int64) error {
		if p != (Params{Rule: p.Rule, Packing: Packing{Each: p.Each}}) || p.Rule > group.ScaleFloor {
			return errSetting
		}
		return wholeStack(&p, "mxfp4", 32, rows)
	},
	Outputs: func(p Params, rows, cols int64) []Output {
		return []Output{
			{Kind: Codes, DType: safetensors.U8, Shape: []int64{rows / p.Each, cols, p.Each / 32, 16}, TileRows: 2, TileCols: 1, Bits: 8, Across: p.Each},
			{Kind: Scale, DType: safetensors.U8, Shape: []int64{rows / p.Each, cols, p.Each / 32}, TileRows: 32, TileCols: 1, Bits: 8, Across: p.Each},
		}
	},
	Coder: func(j *Job) (Coder, error) {
		return newTurnedCoder(turned{group.MXFP4{Rule: j.Rule}, 32, j.Each}, nil), nil
	},
	Decode: decodeTurned,
	Recode: func(p Params, in [][]byte, m fp8.Matrix, part Part) error {
		return turned{group.MXFP4{}, 32, p.Each}.recode(in, m, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		base, ok := strings.CutSuffix(w.Meta.Param, "blocks")
		if !ok || w.DType != safetensors.U8 || len(w.Shape) != 4 || w.Shape[3] != 16 {
			return Found{}, false
		}
		s, ok := beside(base + "scales")
		if !ok || !powers(s.DType) || len(s.Shape) != 3 || s.Shape[0] != w.Shape[0] || s.Shape[1] != w.Shape[1] || s.Shape[2] != w.Shape[2] {
			return Found{}, false
		}
		e, out, in := w.Shape[0], w.Shape[1], w.Shape[2]*32
		return Found{Params: Params{Packing: Packing{Each: in}}, Scales: []string{s.Name}, Rows: e * in, Cols: out, Shape: []int64{e, in, out}}, true
	},
}

// decodeTurned decodes [out, in] as [in, out], of one matrix after the other, by as many
// outputs as stay in the cache.
func decodeTurned(p Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
	const strip = 32
	size, outputs := elem.Size(), int(part.Cols)
	wide := make([]byte, min(strip, outputs)*int(min(part.Rows, p.Each))*size)
	for codes, scales := in[0], in[1]; part.Rows > 0; {
		n := int(min(part.Rows, p.Each-part.Row%p.Each))
		for first := 0; first < outputs; first += strip {
			h := min(strip, outputs-first)
			c := group.Coded{Codes: codes, CodeStride: n / 2, Scales: scales, ScaleStride: n / 32}
			if err := (group.MXFP4{}).Decode(wide, n, elem, c, h, n); err != nil {
				return err
			}
			group.Turn(dst[first*size:], stride, wide, h, n, elem)
			codes, scales = codes[h*n/2:], scales[h*n/32:]
		}
		dst = dst[min(n*stride*size, len(dst)):]
		part.Row, part.Rows = part.Row+int64(n), part.Rows-int64(n)
	}
	return nil
}

// NVFP4Stack is NVFP4 with the experts of a layer in one tensor, each with a scale of its
// own: [experts] beside [experts, out, in/2].
var NVFP4Stack = &Scheme{
	Name:  "nvfp4-stack",
	Title: "NVFP4, with a scale for each expert",
	Floor: 18, // of normal weights 20.4
	Grain: Grain{Rows: 1},
	Check: func(p Params, rows, cols int64) error {
		if p.Each < 1 || rows%p.Each != 0 {
			return invalid.Errorf("%d rows are no matrices of %d", rows, p.Each)
		}
		return wholeGroups("NVFP4", 16, cols)
	},
	Outputs: func(p Params, rows, cols int64) []Output {
		return []Output{
			{Kind: Codes, DType: safetensors.U8, Shape: []int64{rows, cols / 2}, TileRows: 1, TileCols: 1, Bits: 4},
			{Kind: Scale, DType: safetensors.F8E4M3, Shape: []int64{rows, cols / 16}, TileRows: 1, TileCols: 16, Bits: 8},
			{Kind: TensorScale, DType: safetensors.F32, Shape: []int64{rows / p.Each}, Bits: 32},
		}
	},
	Decode: func(p Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		for part.Rows > 0 {
			n := min(part.Rows, p.Each-part.Row%p.Each)
			at := 4 * (part.Row / p.Each)
			s, err := toFloat(in[2][at : at+4])
			if err != nil {
				return err
			}
			one := Part{Rows: n, Cols: part.Cols}
			if err := decodeRows(group.NVFP4{Tensor: s, Divides: p.Divides}, dst, stride, elem, in, one); err != nil {
				return err
			}
			in = [][]byte{in[0][n*part.Cols/2:], in[1][n*part.Cols/16:], in[2]}
			dst = dst[min(n*int64(stride*elem.Size()), int64(len(dst))):]
			part.Row, part.Rows = part.Row+n, part.Rows-n
		}
		return nil
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		if w.DType != safetensors.U8 || len(w.Shape) != 3 {
			return Found{}, false
		}
		s, ok := beside(fp4Scale(w))
		if !ok || s.DType != safetensors.F8E4M3 || !same(w.Shape, s.Shape) || last(w.Shape)*2 != last(s.Shape)*16 {
			return Found{}, false
		}
		for _, x := range []struct {
			param   string
			divides bool
		}{{strings.TrimSuffix(fp4Scale(w), "_scale") + "_scale_2", false}, {strings.TrimSuffix(fp4Scale(w), "_scale") + "_global_scale", true}} {
			t, ok := beside(x.param)
			if !ok || t.DType != safetensors.F32 || elements(t.Shape) != w.Shape[0] && elements(t.Shape) != 1 {
				continue
			}
			rows, cols := w.matrix(2)
			k := Packing{Each: rows / max(elements(t.Shape), 1)}
			return Found{Params: Params{Divides: x.divides, Packing: k}, Scales: []string{s.Name, t.Name}, Rows: rows, Cols: cols}, true
		}
		return Found{}, false
	},
}

// elements is the number of elements of a shape.
func elements(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

// NVFP4Plain is MLX's nvfp4: E2M1 codes, eight to a word, and an E4M3 scale, in U8, for
// every 16 weights, with no scale of the tensor.
var NVFP4Plain = &Scheme{
	Name:  "mlx-nvfp4",
	Title: "NVFP4 of MLX, without a scale of the tensor",
	Floor: 18,
	Grain: Grain{Rows: 1},
	Check: func(_ Params, _, cols int64) error { return wholeGroups("NVFP4", 16, cols) },
	Outputs: func(p Params, rows, cols int64) []Output {
		d := p.codes()
		return []Output{
			{Kind: Codes, DType: d, Shape: []int64{rows, cols * 4 / d.Bits()}, TileRows: 1, TileCols: 1, Bits: 4},
			{Kind: Scale, DType: safetensors.U8, Shape: []int64{rows, cols / 16}, TileRows: 1, TileCols: 16, Bits: 8},
		}
	},
	Decode: func(_ Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		return decodeRows(group.NVFP4{Tensor: 1}, dst, stride, elem, in, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		return mlxFloat(w, beside, "nvfp4", 8, 16)
	},
}

// MLXFP8 is MLX's mxfp8: E4M3 codes, four to a word, and an E8M0 scale, in U8, for every
// 32 weights.
var MLXFP8 = &Scheme{
	Name:  "mlx-mxfp8",
	Title: "MXFP8 of MLX",
	Floor: 25,
	Grain: Grain{Rows: 1},
	Check: func(_ Params, _, cols int64) error { return wholeGroups("MXFP8", 32, cols) },
	Outputs: func(p Params, rows, cols int64) []Output {
		d := p.codes()
		return []Output{
			{Kind: Codes, DType: d, Shape: []int64{rows, cols * 8 / d.Bits()}, TileRows: 1, TileCols: 1, Bits: 8},
			{Kind: Scale, DType: safetensors.U8, Shape: []int64{rows, cols / 32}, TileRows: 1, TileCols: 32, Bits: 8},
		}
	},
	Decode: func(_ Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		return decodeRows(group.MXFP8{}, dst, stride, elem, in, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		return mlxFloat(w, beside, "mxfp8", 4, 32)
	},
}

// mlxFloat recognises codes of MLX by what a scale covers. MLX's config names the mode.
func mlxFloat(w *Stored, beside Beside, mode string, per, size int64) (Found, bool) {
	s, ok := beside("scales")
	if !words(w.DType) || w.Meta.Param != "weight" || !ok || s.DType != safetensors.U8 || !same(w.Shape, s.Shape) || last(w.Shape)*per != last(s.Shape)*size {
		return Found{}, false
	}
	if w.Config != nil && w.Config.Mode != "" && w.Config.Mode != mode {
		return Found{}, false
	}
	rows, cols := w.matrix(per)
	return Found{Params: Params{Packing: Packing{Codes: w.DType}}, Scales: []string{s.Name}, Rows: rows, Cols: cols}, true
}

// INT8 is integers of 8 bits times a scale of their row, or of all: compressed-tensors'
// int-quantized.
var INT8 = &Scheme{
	Name:  "int8",
	Title: "INT8, with a scale for each row",
	Floor: 25,
	Grain: Grain{Rows: 1},
	Check: func(Params, int64, int64) error { return nil },
	Outputs: func(p Params, rows, cols int64) []Output {
		s := Output{Kind: Scale, DType: p.Scales, Shape: []int64{rows, 1}, TileRows: 1, TileCols: max(cols, 1), Bits: p.Scales.Bits()}
		if p.Each > 1 {
			s.Shape, s.TileRows, s.TileCols = []int64{1}, 0, 0
		}
		return []Output{{Kind: Codes, DType: safetensors.I8, Shape: []int64{rows, cols}, TileRows: 1, TileCols: 1, Bits: 8}, s}
	},
	Decode: func(p Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		scales, _ := Elem(p.Scales)
		m := packed.Matrix{
			Layout: packed.INT8, Bits: 8, Rows: int(part.Rows), Cols: int(part.Cols), Codes: in[0], Scales: in[1], ScaleElem: scales,
		}
		if p.Each > 1 { // one scale for all
			m.Scales = bytes.Repeat(in[1], m.Rows)
		}
		return m.Decode(dst, stride, elem, 0, m.Rows)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		s, ok := beside("weight_scale")
		if w.DType != safetensors.I8 || !ok || !floatScales(s.DType) || len(w.Shape) < 2 || !intOf8(w) {
			return Found{}, false
		}
		for _, other := range []string{"weight_offset", "weight_zero_point"} {
			if _, ok := beside(other); ok {
				return Found{}, false
			}
		}
		rows, cols := w.matrix(1)
		k := Packing{Scales: s.DType}
		switch elements(s.Shape) {
		case rows:
		case 1:
			k.Each = rows
		default:
			return Found{}, false
		}
		return Found{Params: Params{Packing: k}, Scales: []string{s.Name}, Rows: rows, Cols: cols}, true
	},
}

// intOf8 reports whether the config says that integers have 8 bits: others put two of 4
// into I8.
func intOf8(w *Stored) bool {
	if w.Config == nil {
		return false
	}
	for _, g := range w.Config.Groups {
		if g.Type == "int" && g.NumBits == 8 {
			return true
		}
	}
	return false
}
