package source

import (
	"quern/formats/safetensors"
	"quern/scheme"
)

// Floats widens elements of type d to float32 until dst is full: vectors, and scales
// as [scheme.Floats] has them. It reports whether it knows the type.
func Floats(dst []float32, raw []byte, d safetensors.DType) bool {
	return scheme.Floats(dst, raw, d)
}
