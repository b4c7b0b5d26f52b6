package fp8

import (
	"encoding/binary"
	"math"
)

// decodeE4M3Generic writes q·s for a run of codes, as BF16 or F32.
func decodeE4M3Generic(dst []byte, elem Elem, codes []byte, s float32) {
	for i, c := range codes {
		x := E4M3ToFloat32(c)
		if c&0x7f != e4m3NaN {
			x *= s
		}
		if elem == ElemBF16 {
			binary.LittleEndian.PutUint16(dst[2*i:], BF16FromFloat32(x))
		} else {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
		}
	}
}
