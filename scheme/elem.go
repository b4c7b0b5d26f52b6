package scheme

import (
	"quern/formats/safetensors"
	"quern/fp8"
)

// Elem is the kernels' name of a dtype that they read weights from; ok is false
// for dtypes that are none.
func Elem(d safetensors.DType) (e fp8.Elem, ok bool) {
	switch d {
	case safetensors.BF16:
		return fp8.ElemBF16, true
	case safetensors.F16:
		return fp8.ElemF16, true
	case safetensors.F32:
		return fp8.ElemF32, true
	case safetensors.F64:
		return fp8.ElemF64, true
	}
	return 0, false
}
