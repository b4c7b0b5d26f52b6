package scheme

import (
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/packed"
)

// Forms are what released checkpoints are written in and nobody asks for by name. Those
// of [Scheme.Stacked] are written where experts stay in one tensor, others have no Coder.
// Their names are those of the packages that write them.
var Forms = []*Scheme{MXFP4Turned, NVFP4Turned, NVFP4Across, NVFP4Stack, NVFP4Plain, MLXFP8, PackQuantized, AWQ, GPTQ, GPTQv2, MLXAffine, INT8}

// Packing says of one of [Forms] what its codes do not.
type Packing struct {
	Codes  safetensors.DType `json:"codes,omitempty"`  // of packed codes, where a form has several
	Bits   int               `json:"bits,omitempty"`   // of a code
	Group  int64             `json:"group,omitempty"`  // columns that share a scale; 0: all
	Scales safetensors.DType `json:"scales,omitempty"` // of scales and biases
	Zeros  bool              `json:"zeros,omitempty"`  // there are zero points
	Order  bool              `json:"order,omitempty"`  // columns have their groups in any order
	Shape  safetensors.DType `json:"shape,omitempty"`  // of the matrix's shape, where that is beside it
	// Each is how many rows each of several matrices has that lie below each other, where
	// that matters, or how many rows share a scale.
	Each int64 `json:"each,omitempty"`
}

// codes is the dtype of packed codes.
func (k *Packing) codes() safetensors.DType {
	if k.Codes == 0 {
		return safetensors.U8
	}
	return k.Codes
}

// groups is how many groups a row of cols columns has.
func (k *Packing) groups(cols int64) int64 { return ceilDiv(cols, k.group(cols)) }

// group is how many columns a group has.
func (k *Packing) group(cols int64) int64 {
	if k.Group == 0 {
		return max(cols, 1)
	}
	return k.Group
}

// integers decodes codes that package packed knows. in has, behind codes and scales,
// what the packing says is there: zero points or biases, then the order of columns.
func (k *Packing) integers(l packed.Layout, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
	scales, _ := Elem(k.Scales)
	m := packed.Matrix{
		Layout: l, Bits: k.Bits, Rows: int(part.Rows), Cols: int(part.Cols), Group: int(k.Group),
		Codes: in[0], Scales: in[1], ScaleElem: scales,
	}
	rest := in[2:]
	if l == packed.MLX {
		m.Biases, rest = rest[0], rest[1:]
	} else if k.Zeros {
		m.Zeros, rest = rest[0], rest[1:]
	}
	if k.Order {
		m.GroupOf = rest[0]
	}
	return m.Decode(dst, stride, elem, 0, m.Rows)
}

// floatScales reports whether d may be the dtype of scales of integers.
func floatScales(d safetensors.DType) bool {
	return d == safetensors.BF16 || d == safetensors.F16 || d == safetensors.F32
}

// powers reports whether d may be the dtype of E8M0 scales.
func powers(d safetensors.DType) bool { return d == safetensors.U8 || d == safetensors.F8E8M0 }

// words reports whether d is a word that integers are packed in.
func words(d safetensors.DType) bool { return d == safetensors.I32 || d == safetensors.U32 }

// matrixShape is the output for the shape of the matrix that is beside packed codes.
func (k *Packing) matrixShape() Output {
	return Output{Kind: Dimensions, DType: k.Shape, Shape: []int64{2}, Bits: k.Shape.Bits()}
}

// last is the last dimension of a shape, 0 of a scalar.
func last(shape []int64) int64 {
	if len(shape) == 0 {
		return 0
	}
	return shape[len(shape)-1]
}

// same reports whether two shapes agree but for their last dimensions.
func same(a, b []int64) bool {
	if len(a) != len(b) || len(a) < 2 {
		return false
	}
	for i := range a[:len(a)-1] {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
