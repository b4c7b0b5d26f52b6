package packed

import (
	"encoding/binary"
	"math"

	"quern/fp8"
	"quern/internal/cpu"
)

// path is one implementation of the kernels. All paths give the same bits.
type path struct {
	name string

	// affine writes (q−zero)·scale+bias of codes as elements of type elem, ElemBF16 or
	// ElemF32.
	affine func(dst []byte, elem fp8.Elem, q []uint8, zero, scale, bias float32)

	// ordered is affine with the zero point and the scale of group of[i] for code i, and
	// no bias.
	ordered func(dst []byte, elem fp8.Elem, q []uint8, of []int32, zero, scale []float32)
}

// current is the path in use.
var current = cpu.Choose(func(p *path) string { return p.name }, paths()...)

// paths returns the paths that this machine can take, the best one last.
func paths() []*path { return append([]*path{&genericPath}, archPaths()...) }

// genericPath is the scalar reference: every other path equals it bit for bit.
var genericPath = path{"generic", affineGeneric, orderedGeneric}

func affineGeneric(dst []byte, elem fp8.Elem, q []uint8, zero, scale, bias float32) {
	for i, code := range q {
		put(dst, elem, i, float32((float32(code)-zero)*scale)+bias)
	}
}

func orderedGeneric(dst []byte, elem fp8.Elem, q []uint8, of []int32, zero, scale []float32) {
	for i, code := range q {
		g := of[i]
		put(dst, elem, i, (float32(code)-zero[g])*scale[g])
	}
}

// put writes element i.
func put(dst []byte, elem fp8.Elem, i int, x float32) {
	if elem == fp8.ElemBF16 {
		binary.LittleEndian.PutUint16(dst[2*i:], fp8.BF16FromFloat32(x))
	} else {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
	}
}
