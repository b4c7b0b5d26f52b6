package fp8

import (
	"encoding/binary"
	"math"
)

// scanBlock is how many bytes are checked before a count starts: small enough to
// stay in the first cache.
const scanBlock = 8 << 10

// CountNonFinite counts the NaN and infinite elements of data, little-endian
// elements of type e, and returns the index of the first one, −1 where there is
// none. An F64 element that rounds to an infinite float32 counts as well, since
// that is how F64 weights are read. Bytes after the last whole element are
// ignored. It is fast where there is none.
func CountNonFinite(data []byte, e Elem) (count, first int64) {
	p := current.Load()
	size := e.Size()
	first = -1
	if size == 0 {
		return 0, first
	}
	for at := 0; at+size <= len(data); at += scanBlock {
		block := data[at:min(at+scanBlock, len(data))]
		if !p.nonFinite(block, e) {
			continue
		}
		n, f := countNonFinite(block, e)
		if first < 0 && f >= 0 {
			first = int64(at/size) + f
		}
		count += n
	}
	return count, first
}

// countNonFinite is CountNonFinite in plain Go.
func countNonFinite(data []byte, e Elem) (count, first int64) {
	first = -1
	size := e.Size()
	for i := range len(data) / size {
		if !finite(data[i*size:], e) {
			if count++; first < 0 {
				first = int64(i)
			}
		}
	}
	return count, first
}

// finite says whether the first element of data is neither NaN nor infinite, as a
// float32.
func finite(data []byte, e Elem) bool {
	switch e {
	case ElemBF16:
		return binary.LittleEndian.Uint16(data)&0x7f80 != 0x7f80
	case ElemF16:
		return binary.LittleEndian.Uint16(data)&0x7c00 != 0x7c00
	case ElemF32:
		return binary.LittleEndian.Uint32(data)&0x7f800000 != 0x7f800000
	default:
		x := float32(math.Float64frombits(binary.LittleEndian.Uint64(data)))
		return math.Float32bits(x)&0x7f800000 != 0x7f800000
	}
}

func nonFiniteGeneric(data []byte, e Elem) bool {
	size := e.Size()
	for i := range len(data) / size {
		if !finite(data[i*size:], e) {
			return true
		}
	}
	return false
}

// CountNaNCodes counts the NaN codes (0x7F, 0xFF) in E4M3 codes and returns the
// index of the first one, −1 where there is none. It is fast where there is none.
func CountNaNCodes(codes []byte) (count, first int64) {
	p := current.Load()
	first = -1
	for at := 0; at < len(codes); at += scanBlock {
		block := codes[at:min(at+scanBlock, len(codes))]
		if !p.nanCodes(block) {
			continue
		}
		for i, c := range block {
			if c&0x7f == e4m3NaN {
				if count++; first < 0 {
					first = int64(at + i)
				}
			}
		}
	}
	return count, first
}

func nanCodesGeneric(codes []byte) bool {
	for _, c := range codes {
		if c&0x7f == e4m3NaN {
			return true
		}
	}
	return false
}
