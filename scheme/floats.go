package scheme

import (
	"encoding/binary"
	"math"

	"quern/formats/safetensors"
	"quern/fp8"
)

// Floats widens elements of type d to float32 until dst is full: scales (U8 holds
// E8M0 bytes, as MXFP8 has them) and vectors. F64 is rounded. It reports whether it
// knows the type.
func Floats(dst []float32, raw []byte, d safetensors.DType) bool {
	switch d {
	case safetensors.F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case safetensors.BF16:
		for i := range dst {
			dst[i] = fp8.BF16ToFloat32(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	case safetensors.F16:
		for i := range dst {
			dst[i] = fp8.F16ToFloat32(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	case safetensors.F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	case safetensors.F8E8M0, safetensors.U8: // U8 holds E8M0 bytes (MXFP8)
		for i := range dst {
			dst[i] = fp8.E8M0ToFloat32(raw[i])
		}
	default:
		return false
	}
	return true
}
