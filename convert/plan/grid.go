package plan

import (
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/scheme"
)

// Grid says how scales lie over codes.
type Grid = scheme.Grid

// Elem is the kernels' name of a dtype that they read weights from; ok is false for
// dtypes that are none.
func Elem(d safetensors.DType) (e fp8.Elem, ok bool) { return scheme.Elem(d) }
