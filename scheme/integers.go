package scheme

import (
	"encoding/binary"
	"fmt"
	"slices"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/packed"
)

// PackQuantized is compressed-tensors' pack-quantized of any width (formats-2026.md §4.5):
// codes in words along a row, zero points in words along a column.
var PackQuantized = &Scheme{
	Name:  "pack-quantized",
	Title: "integers of compressed-tensors",
	Floor: 5, // of 2 bits
	Grain: Grain{Rows: 16},
	Check: func(p Params, _, cols int64) error {
		if !slices.Contains([]int{2, 4, 8}, p.Bits) && (cols*int64(p.Bits)%32 != 0 || p.Zeros) {
			return invalid.Errorf("codes of %d bits with zero points, or in rows that fill no whole words", p.Bits)
		}
		return nil
	},
	Outputs: func(p Params, rows, cols int64) []Output {
		bits := int64(p.Bits)
		codes := Output{Kind: Codes, DType: safetensors.I32, Shape: []int64{rows, ceilDiv(cols*bits, 32)}, TileRows: 1, TileCols: 1, Bits: bits}
		if 32%bits == 0 {
			codes.TileCols, codes.Bits = 32/bits, 32
		}
		groups := p.groups(cols)
		list := []Output{codes, {Kind: Scale, DType: p.Scales, Shape: []int64{rows, groups}, TileRows: 1, TileCols: p.group(cols), Bits: p.Scales.Bits()}}
		if p.Zeros {
			list = append(list, Output{Kind: ZeroPoint, DType: safetensors.I32, Shape: []int64{ceilDiv(rows*bits, 32), groups}, TileRows: 32 / bits, TileCols: p.group(cols), Bits: 32})
		}
		if p.Order {
			list = append(list, columnOrder(cols))
		}
		if p.Shape != 0 {
			list = append(list, p.matrixShape())
		}
		return list
	},
	Decode: func(p Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		if p.Shape != 0 {
			if err := sameDimensions(asI64(in[len(in)-1], p.Shape), part); err != nil {
				return err
			}
		}
		return p.integers(packed.PackQuantized, dst, stride, elem, in, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		s, ok := beside("weight_scale")
		if !ok || !words(w.DType) || w.Meta.Param != "weight_packed" || !floatScales(s.DType) || !same(w.Shape, s.Shape) {
			return Found{}, false
		}
		k, cols, ok := packedAs(w, last(w.Shape), last(s.Shape))
		if !ok {
			return Found{}, false
		}
		rows, _ := w.matrix(1)
		k.Scales = s.DType
		names := []string{s.Name}
		if z, ok := beside("weight_zero_point"); ok {
			if !words(z.DType) {
				return Found{}, false
			}
			k.Zeros = true
			names = append(names, z.Name)
		}
		if g, ok := beside("weight_g_idx"); ok {
			k.Order = true
			names = append(names, g.Name)
		}
		if x, ok := beside("weight_shape"); ok {
			if elements(x.Shape) != 2 || x.DType != safetensors.I64 && x.DType != safetensors.I32 {
				return Found{}, false
			}
			k.Shape = x.DType
			names = append(names, x.Name)
		}
		return Found{Params: Params{Packing: k}, Scales: names, Rows: rows, Cols: cols}, true
	},
}

// asI64 are the dimensions that some write as I32.
func asI64(raw []byte, d safetensors.DType) []byte {
	if d != safetensors.I32 || len(raw) != 8 {
		return raw
	}
	return dimensions(int64(int32(binary.LittleEndian.Uint32(raw))), int64(int32(binary.LittleEndian.Uint32(raw[4:]))))
}

// packedAs finds the width of codes whose rows take so many words and have so many
// groups, among those that the config names; without one it is 4 bits.
func packedAs(w *Stored, words, groups int64) (k Packing, cols int64, ok bool) {
	type width struct {
		bits  int
		group int64
	}
	widths := []width{}
	if w.Config != nil {
		for _, g := range w.Config.Groups {
			if g.NumBits > 0 && g.Type != "float" {
				widths = append(widths, width{g.NumBits, int64(max(g.GroupSize, 0))})
			}
		}
	}
	if len(widths) == 0 && groups > 0 && words*8%groups == 0 {
		widths = append(widths, width{4, words * 8 / groups})
	}
	for _, x := range widths {
		c := words * 32 / int64(x.bits)
		if x.group > 0 && ceilDiv(groups*x.group*int64(x.bits), 32) == words {
			c = groups * x.group // the last word may have room left
		}
		m := Packing{Bits: x.bits, Group: x.group}
		if c < 1 || m.groups(c) != groups {
			continue
		}
		if ok && (m != k || c != cols) {
			return Packing{}, 0, false // which of the two it is the file does not say
		}
		k, cols, ok = m, c, true
	}
	return k, cols, ok
}

// columnOrder is the output for the group of each column.
func columnOrder(cols int64) Output {
	return Output{Kind: Order, DType: safetensors.I32, Shape: []int64{cols}, Bits: 32}
}

// AWQ is AutoAWQ's: codes of eight outputs to a word, inputs first.
var AWQ = &Scheme{
	Name:  "awq",
	Title: "integers of AWQ",
	Floor: 12,
	Grain: Grain{Rows: 8},
	Check: func(p Params, rows, _ int64) error { return wholeWords("AWQ", p.Bits, rows) },
	Outputs: func(p Params, rows, cols int64) []Output {
		groups := p.groups(cols)
		return []Output{
			{Kind: Codes, DType: safetensors.I32, Shape: []int64{cols, rows / 8}, TileRows: 8, TileCols: 1, Bits: 32, Across: rows},
			{Kind: Scale, DType: p.Scales, Shape: []int64{groups, rows}, TileRows: 1, TileCols: p.group(cols), Bits: p.Scales.Bits(), Across: rows},
			{Kind: ZeroPoint, DType: safetensors.I32, Shape: []int64{groups, rows / 8}, TileRows: 8, TileCols: p.group(cols), Bits: 32, Across: rows},
		}
	},
	Decode: func(p Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		return p.integers(packed.AWQ, dst, stride, elem, in, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		s, z, ok := qweight(w, beside)
		if _, order := beside("g_idx"); !ok || order || w.Shape[1] != z.Shape[1] || w.Shape[1]*8 != s.Shape[1] {
			return Found{}, false
		}
		in, out := w.Shape[0], s.Shape[1]
		k := Packing{Bits: 4, Scales: s.DType, Zeros: true, Group: ceilDiv(in, max(s.Shape[0], 1))}
		return Found{Params: Params{Packing: k}, Scales: []string{s.Name, z.Name}, Rows: out, Cols: in}, true
	},
}

// qweight is what lies beside AWQ's and GPTQ's codes.
func qweight(w *Stored, beside Beside) (scales, zeros Stored, ok bool) {
	s, has := beside("scales")
	z, have := beside("qzeros")
	ok = has && have && w.Meta.Param == "qweight" && words(w.DType) && words(z.DType) && floatScales(s.DType) &&
		len(w.Shape) == 2 && len(s.Shape) == 2 && len(z.Shape) == 2
	return s, z, ok
}

// wholeWords says why codes cannot be packed along so many outputs.
func wholeWords(name string, bits int, rows int64) error {
	if bits == 0 || rows*int64(bits)%32 != 0 {
		return fmt.Errorf("%d outputs of %d bits fill no whole words of %s", rows, bits, name)
	}
	return nil
}

// GPTQ is AutoGPTQ's: codes of the inputs of an output to a word, inputs first; zero
// points are one less than what they mean. Inputs may have their groups in any order.
// GPTQv2 has zero points as they are.
var (
	GPTQ   = gptq("gptq", packed.GPTQ, false)
	GPTQv2 = gptq("gptq-v2", packed.GPTQv2, true)
)

func gptq(name string, layout packed.Layout, second bool) *Scheme {
	return &Scheme{
		Name:  name,
		Title: "integers of " + layout.String(),
		Floor: 5, // of 2 bits
		Grain: Grain{Rows: 16},
		Check: func(p Params, rows, _ int64) error {
			if p.Bits != 2 && p.Bits != 4 && p.Bits != 8 {
				return invalid.Errorf("codes of %d bits of %v", p.Bits, layout)
			}
			return wholeWords(layout.String(), p.Bits, rows)
		},
		Outputs: func(p Params, rows, cols int64) []Output {
			per, groups := 32/int64(p.Bits), p.groups(cols)
			list := []Output{
				{Kind: Codes, DType: safetensors.I32, Shape: []int64{ceilDiv(cols, per), rows}, TileRows: 1, TileCols: per, Bits: 32, Across: rows},
				{Kind: Scale, DType: p.Scales, Shape: []int64{groups, rows}, TileRows: 1, TileCols: p.group(cols), Bits: p.Scales.Bits(), Across: rows},
				{Kind: ZeroPoint, DType: safetensors.I32, Shape: []int64{groups, rows / per}, TileRows: per, TileCols: p.group(cols), Bits: 32, Across: rows},
			}
			if p.Order {
				list = append(list, columnOrder(cols))
			}
			return list
		},
		Decode: func(p Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
			return p.integers(layout, dst, stride, elem, in, part)
		},
		Recognise: func(w *Stored, beside Beside) (Found, bool) {
			s, z, ok := qweight(w, beside)
			if !ok || w.Shape[1] != s.Shape[1] || s.Shape[0] < 1 || s.Shape[1] < 1 || z.Shape[1]*32%s.Shape[1] != 0 || second != (w.Config != nil && w.Config.Checkpoint == "gptq_v2") {
				return Found{}, false
			}
			k := Packing{Bits: int(z.Shape[1] * 32 / s.Shape[1]), Scales: s.DType, Zeros: true}
			if k.Bits < 1 || 32%k.Bits != 0 {
				return Found{}, false
			}
			cols := w.Shape[0] * 32 / int64(k.Bits)
			names := []string{s.Name, z.Name}
			if g, ok := beside("g_idx"); ok && len(g.Shape) == 1 {
				k.Order, cols = true, g.Shape[0]
				names = append(names, g.Name)
			}
			k.Group = ceilDiv(cols, s.Shape[0])
			if n := configGroup(w); n > 0 && ceilDiv(cols, n) == s.Shape[0] {
				k.Group = n
			}
			return Found{Params: Params{Packing: k}, Scales: names, Rows: s.Shape[1], Cols: cols}, true
		},
	}
}

// configGroup is the size of groups that the config names, 0 if it names none.
func configGroup(w *Stored) int64 {
	if w.Config == nil {
		return 0
	}
	return int64(max(w.Config.GroupSize, 0))
}

// MLXAffine is MLX's affine form: codes in words along a row, and for each group a scale
// and a bias.
var MLXAffine = &Scheme{
	Name:  "mlx-affine",
	Title: "integers of MLX",
	Floor: 5, // of 2 bits
	Grain: Grain{Rows: 1},
	Check: func(p Params, _, cols int64) error {
		if p.Group < 1 || cols%p.Group != 0 || cols*int64(p.Bits)%32 != 0 {
			return invalid.Errorf("rows of %d codes of %d bits in groups of %d", cols, p.Bits, p.Group)
		}
		return nil
	},
	Outputs: func(p Params, rows, cols int64) []Output {
		bits, groups := int64(p.Bits), p.groups(cols)
		of := Output{Kind: Scale, DType: p.Scales, Shape: []int64{rows, groups}, TileRows: 1, TileCols: p.group(cols), Bits: p.Scales.Bits()}
		bias := of
		bias.Kind = ZeroPoint
		return []Output{{Kind: Codes, DType: safetensors.U32, Shape: []int64{rows, cols * bits / 32}, TileRows: 1, TileCols: 1, Bits: bits}, of, bias}
	},
	Decode: func(p Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		return p.integers(packed.MLX, dst, stride, elem, in, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		s, ok := beside("scales")
		b, has := beside("biases")
		if !ok || !has || !words(w.DType) || w.Meta.Param != "weight" || !floatScales(s.DType) || s.DType != b.DType || !same(w.Shape, s.Shape) || last(s.Shape) < 1 {
			return Found{}, false
		}
		product := last(w.Shape) * 32 / last(s.Shape) // size of a group times bits of a code
		k := Packing{Scales: s.DType, Group: configGroup(w)}
		if w.Expect > 0 { // the config of the model says how many inputs there are
			k.Group = w.Expect / last(s.Shape)
		}
		if k.Group == 0 {
			k.Group = 64 // MLX's default
		}
		k.Bits = int(product / k.Group)
		if !slices.Contains([]int{2, 3, 4, 5, 6, 8}, k.Bits) || int64(k.Bits)*k.Group != product {
			return Found{}, false
		}
		rows, _ := w.matrix(1)
		return Found{Params: Params{Packing: k}, Scales: []string{s.Name, b.Name}, Rows: rows, Cols: last(s.Shape) * k.Group}, true
	},
}
