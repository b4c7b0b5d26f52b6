package fp8

import (
	"encoding/binary"
	"math"
)

// CastBF16 rounds the elements of src, little-endian and of type e, to BF16 (to
// nearest even; F64 through float32) and writes them to dst. Infinities and NaN
// pass. overflow counts the finite elements that become infinite, first is the
// index of the first of them, else −1. dst must have two bytes for each element;
// bytes of src after the last whole element are ignored. A dst that is too short
// panics, as indexing does. dst and src must not overlap.
func CastBF16(dst, src []byte, e Elem) (overflow, first int64) {
	first = -1
	if e.Size() == 0 {
		return 0, first
	}
	n := len(src) / e.Size()
	dst = dst[:2*n]
	if e == ElemBF16 {
		copy(dst, src[:2*n])
		return 0, first
	}
	if e != ElemF32 {
		return castGeneric(dst, src, e)
	}
	// The kernel stops at a run with an element that needs a closer look.
	const run = 64
	p := current.Load()
	for i := 0; i < n; {
		i += p.castF32BF16(dst[2*i:], src[4*i:4*n])
		j := min(i+run, n)
		over, f := castGeneric(dst[2*i:2*j], src[4*i:4*j], e)
		if first < 0 && f >= 0 {
			first = int64(i) + f
		}
		overflow += over
		i = j
	}
	return overflow, first
}

// castGeneric is CastBF16 in plain Go.
func castGeneric(dst, src []byte, e Elem) (overflow, first int64) {
	first = -1
	size := e.Size()
	var one [1]float32
	for i := range len(src) / size {
		e.decode(one[:], src[i*size:])
		p := BF16FromFloat32(one[0])
		binary.LittleEndian.PutUint16(dst[2*i:], p)
		if p&0x7fff == 0x7f80 && isFinite(src[i*size:], e) {
			if overflow++; first < 0 {
				first = int64(i)
			}
		}
	}
	return overflow, first
}

// isFinite says whether the first element of data is neither NaN nor infinite in
// its own type.
func isFinite(data []byte, e Elem) bool {
	if e == ElemF64 {
		const inf = 0x7ff << 52
		return math.Float64bits(math.Float64frombits(binary.LittleEndian.Uint64(data)))&inf != inf
	}
	return finite(data, e)
}

// castF32BF16Generic leaves everything to castGeneric.
func castF32BF16Generic(_, _ []byte) int { return 0 }

// CastF32 writes the elements of src, of type e, to dst as little-endian float32:
// exactly, but for F64, which is rounded to nearest even (and so may become infinite).
// Bytes of src after the last whole element are ignored. A dst that is too short
// panics, as indexing does. dst and src must not overlap.
func CastF32(dst, src []byte, e Elem) {
	if e.Size() == 0 {
		return
	}
	n := len(src) / e.Size()
	current.Load().widen(dst[:4*n], src[:n*e.Size()], e)
}

// widenGeneric is CastF32 in plain Go.
func widenGeneric(dst, src []byte, e Elem) {
	if e == ElemF32 {
		copy(dst, src)
		return
	}
	var one [1]float32
	for i := range len(dst) / 4 {
		e.decode(one[:], src[i*e.Size():])
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(one[0]))
	}
}
