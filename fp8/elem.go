package fp8

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Elem is the type of a source or destination element, little-endian.
type Elem uint8

const (
	ElemBF16 Elem = iota
	ElemF16
	ElemF32
	ElemF64
)

// Size returns the bytes of one element, 0 for an unknown type.
func (e Elem) Size() int {
	switch e {
	case ElemBF16, ElemF16:
		return 2
	case ElemF32:
		return 4
	case ElemF64:
		return 8
	}
	return 0
}

// String returns the name that safetensors headers use.
func (e Elem) String() string {
	switch e {
	case ElemBF16:
		return "BF16"
	case ElemF16:
		return "F16"
	case ElemF32:
		return "F32"
	case ElemF64:
		return "F64"
	}
	return fmt.Sprintf("Elem(%d)", uint8(e))
}

// Decode writes elements of src as float32 until dst is full: exactly, but for F64,
// which is rounded to nearest even (and so may become infinite). A src that is too
// short panics, as indexing does.
func (e Elem) Decode(dst []float32, src []byte) { current.Load().decode(dst, src, e) }

// decode is Decode in plain Go.
func (e Elem) decode(dst []float32, src []byte) {
	switch e {
	case ElemBF16:
		src = src[:2*len(dst)]
		for i := range dst {
			dst[i] = BF16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case ElemF16:
		src = src[:2*len(dst)]
		for i := range dst {
			dst[i] = F16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case ElemF32:
		src = src[:4*len(dst)]
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case ElemF64:
		src = src[:8*len(dst)]
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	}
}
