package scheme

import (
	"encoding/binary"

	"quern/fp8"
)

// turn writes src, rows of cols elements of a type, turned round. It goes by squares, so
// that both sides stay in the cache, and in those by squares that fit registers.
func turn(dst []byte, stride int, src []byte, rows, cols int, elem fp8.Elem) {
	const edge = 32
	for c0 := 0; c0 < cols; c0 += edge {
		for r0 := 0; r0 < rows; r0 += edge {
			h, w := min(edge, rows-r0), min(edge, cols-c0)
			to, from := dst[(c0*stride+r0)*elem.Size():], src[(r0*cols+c0)*elem.Size():]
			if elem == fp8.ElemBF16 {
				turn2(to, 2*stride, from, 2*cols, h, w)
			} else {
				turn4(to, 4*stride, from, 4*cols, h, w)
			}
		}
	}
}

// turn2 turns h×w elements of two bytes, 4×4 at a time. Strides are in bytes.
func turn2(dst []byte, dstStride int, src []byte, srcStride, h, w int) {
	whole, high := w&^3, h&^3
	const keep = 0x0000ffff0000ffff
	for c := 0; c < whole; c += 4 {
		for r := 0; r < high; r += 4 {
			in := src[r*srcStride+2*c:]
			x0, x1 := binary.LittleEndian.Uint64(in), binary.LittleEndian.Uint64(in[srcStride:])
			x2, x3 := binary.LittleEndian.Uint64(in[2*srcStride:]), binary.LittleEndian.Uint64(in[3*srcStride:])
			x0, x1 = x0&keep|x1&keep<<16, x0>>16&keep|x1&^keep
			x2, x3 = x2&keep|x3&keep<<16, x2>>16&keep|x3&^keep
			out := dst[c*dstStride+2*r:]
			binary.LittleEndian.PutUint64(out, x0&0xffffffff|x2<<32)
			binary.LittleEndian.PutUint64(out[dstStride:], x1&0xffffffff|x3<<32)
			binary.LittleEndian.PutUint64(out[2*dstStride:], x0>>32|x2&^0xffffffff)
			binary.LittleEndian.PutUint64(out[3*dstStride:], x1>>32|x3&^0xffffffff)
		}
	}
	for r := range h {
		for c := rest(r, high, whole); c < w; c++ {
			copy(dst[c*dstStride+2*r:][:2], src[r*srcStride+2*c:])
		}
	}
}

// turn4 turns h×w elements of four bytes, 2×2 at a time.
func turn4(dst []byte, dstStride int, src []byte, srcStride, h, w int) {
	whole, high := w&^1, h&^1
	for c := 0; c < whole; c += 2 {
		for r := 0; r < high; r += 2 {
			in, out := src[r*srcStride+4*c:], dst[c*dstStride+4*r:]
			x0, x1 := binary.LittleEndian.Uint64(in), binary.LittleEndian.Uint64(in[srcStride:])
			binary.LittleEndian.PutUint64(out, x0&0xffffffff|x1<<32)
			binary.LittleEndian.PutUint64(out[dstStride:], x0>>32|x1&^0xffffffff)
		}
	}
	for r := range h {
		for c := rest(r, high, whole); c < w; c++ {
			copy(dst[c*dstStride+4*r:][:4], src[r*srcStride+4*c:])
		}
	}
}

// rest is the first column of row r that no square has turned.
func rest(r, high, whole int) int {
	if r < high {
		return whole
	}
	return 0
}
