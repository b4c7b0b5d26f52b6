package scheme

import (
	"quern/formats/model"
	"quern/formats/safetensors"
)

// Stored is a tensor of a checkpoint.
type Stored struct {
	Name  string
	DType safetensors.DType
	Shape []int64
	Meta  *model.Tensor
	// Config is what config.json says of the quantization, or nil.
	Config *model.Quantization
	// Expect is how many columns the matrix has by the config of the model, 0 if that
	// does not say.
	Expect int64
}

// matrix is the shape of what is stored with so many weights to an element.
func (s *Stored) matrix(per int64) (rows, cols int64) {
	n := len(s.Shape) - 1
	rows = 1
	for _, d := range s.Shape[:n] {
		rows *= d
	}
	return rows, s.Shape[n] * per
}

// Beside finds another parameter of the same module.
type Beside func(param string) (Stored, bool)

// Found is how a weight is written.
type Found struct {
	*Scheme // that of the row that found it, if nil
	Params
	Scales     []string // names of the further tensors, in the order of the scheme's outputs
	Rows, Cols int64    // of the matrix; the matrices of fused experts are taken as one, below each other
	// Shape is that of the weight in numbers, where it is not the stored one with Cols at
	// its end.
	Shape []int64
}

// Recognise tells which scheme a weight is written in, by its dtype and neighbours; ok
// is false for one that has no codes, or codes whose scheme is not known. E4M3 codes
// with a scale of any layout are BlockFP8's: their [Grid] says the rest.
func Recognise(w *Stored, beside Beside) (f Found, ok bool) {
	if !Coded(w.DType, w.Meta) && !integers(w.DType, w.Meta) {
		return Found{}, false
	}
	if f, ok := mxfp4Elsewhere(w, beside); ok {
		return f, true
	}
	for _, list := range [][]*Scheme{All, Forms} {
		for _, s := range list {
			if s.Recognise == nil {
				continue
			}
			if f, ok := s.Recognise(w, beside); ok {
				if f.Scheme == nil {
					f.Scheme = s
				}
				return f, true
			}
		}
	}
	return Found{Scheme: BlockFP8}, Coded(w.DType, w.Meta)
}

// Coded reports whether a tensor is a weight of E4M3 codes, whose scales a [Grid] lays
// over it.
func Coded(d safetensors.DType, m *model.Tensor) bool {
	return d == safetensors.F8E4M3 && m.Role != model.Scale
}

// CodedScales reports whether scales of a dtype are E4M3 themselves, as those of NVFP4's
// groups are.
func CodedScales(d safetensors.DType) bool { return d == safetensors.F8E4M3 }

// integers reports whether a tensor is a weight whose codes are packed in integers.
func integers(d safetensors.DType, m *model.Tensor) bool {
	return m.Role != model.Scale && m.Weights > 0 && (!d.IsFloat() || d.Bits() < 8)
}

// Refused reports whether a tensor is of a float of 8 bits other than E4M3, which no
// engine reads as a weight.
func Refused(d safetensors.DType) bool {
	return d == safetensors.F8E5M2 || d == safetensors.F8E4M3FNUZ || d == safetensors.F8E5M2FNUZ
}

// MayScale reports whether a scale may belong to a weight of this dtype: what cannot be
// read is refused with a better word.
func MayScale(d safetensors.DType) bool {
	return d == safetensors.F8E4M3 || d == safetensors.F8E5M2
}

// ScaleType reports whether scales that lie over codes by a [Grid] may have this dtype.
func ScaleType(d safetensors.DType) bool {
	switch d {
	case safetensors.F32, safetensors.BF16, safetensors.F16, safetensors.F8E8M0, safetensors.U8:
		return true
	}
	return false
}

// PowersOfTwo reports whether scales of a dtype can only be powers of two: E8M0, or its
// bytes in U8 (MXFP8, formats.md §0).
func PowersOfTwo(d safetensors.DType) bool {
	return d == safetensors.F8E8M0 || d == safetensors.U8
}
