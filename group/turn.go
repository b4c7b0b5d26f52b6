package group

import (
	"encoding/binary"

	"quern/fp8"
)

// Turn writes src, rows of cols elements of type elem, ElemBF16 or ElemF32, turned round:
// column c from element c·stride of dst on. It goes by squares, so that both sides stay
// in the cache.
func Turn(dst []byte, stride int, src []byte, rows, cols int, elem fp8.Elem) {
	const edge = 32
	size, run := elem.Size(), current.Load().turn4
	if elem == fp8.ElemBF16 {
		run = current.Load().turn2
	}
	for c0 := 0; c0 < cols; c0 += edge {
		for r0 := 0; r0 < rows; r0 += edge {
			run(dst[(c0*stride+r0)*size:], size*stride, src[(r0*cols+c0)*size:], size*cols, min(edge, rows-r0), min(edge, cols-c0))
		}
	}
}

// turner turns h×w elements. Strides are in bytes.
type turner func(dst []byte, dstStride int, src []byte, srcStride, h, w int)

func turn2Generic(dst []byte, dstStride int, src []byte, srcStride, h, w int) {
	for r := range h {
		for c := range w {
			binary.LittleEndian.PutUint16(dst[c*dstStride+2*r:], binary.LittleEndian.Uint16(src[r*srcStride+2*c:]))
		}
	}
}

func turn4Generic(dst []byte, dstStride int, src []byte, srcStride, h, w int) {
	for r := range h {
		for c := range w {
			binary.LittleEndian.PutUint32(dst[c*dstStride+4*r:], binary.LittleEndian.Uint32(src[r*srcStride+4*c:]))
		}
	}
}
