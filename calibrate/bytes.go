package calibrate

import (
	"encoding/binary"
	"math"
)

// putFloats is x as little-endian bytes, in buf, which has room for them.
func putFloats(buf []byte, x []float32) []byte {
	buf = buf[:4*len(x)]
	for i, v := range x {
		binary.LittleEndian.PutUint32(buf[4*i:], math.Float32bits(v))
	}
	return buf
}

// getFloats fills x from such bytes.
func getFloats(x []float32, raw []byte) {
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
}

// appendIntegers appends n as little-endian bytes.
func appendIntegers(buf []byte, n ...int64) []byte {
	for _, v := range n {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(v))
	}
	return buf
}

// appendDoubles appends x as little-endian bytes.
func appendDoubles(buf []byte, x ...float64) []byte {
	for _, v := range x {
		buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
	}
	return buf
}

// appendFloat appends x as little-endian bytes.
func appendFloat(buf []byte, x float32) []byte {
	return binary.LittleEndian.AppendUint32(buf, math.Float32bits(x))
}
