package engine_test

import (
	"encoding/binary"
	"math"
	"testing"

	"quern/formats/safetensors"
	"quern/fp8"
)

// random is the data of a tensor: normal weights for floats, sound E4M3 codes,
// scales near a hundredth for E8M0, any bytes for the rest.
func random(d safetensors.DType, shape []int64, seed uint64) []byte {
	size, err := safetensors.SizeOf(d, shape)
	if err != nil {
		panic(err)
	}
	r := source(seed)
	out := make([]byte, 0, size)
	for int64(len(out)) < size {
		switch d {
		case safetensors.BF16, safetensors.F16, safetensors.F32, safetensors.F64:
			out = encode(out, d, r.NormFloat64()*0.02)
		case safetensors.F8E4M3:
			c := byte(r.Uint32())
			if c&0x7f == 0x7f {
				c = 0
			}
			out = append(out, c)
		case safetensors.F8E8M0:
			out = append(out, byte(120+r.IntN(4)))
		default:
			out = append(out, byte(r.Uint32()))
		}
	}
	return out
}

// encode appends x, rounded to a dtype.
func encode(out []byte, d safetensors.DType, x float64) []byte {
	switch d {
	case safetensors.BF16:
		return binary.LittleEndian.AppendUint16(out, fp8.BF16FromFloat32(float32(x)))
	case safetensors.F16:
		return binary.LittleEndian.AppendUint16(out, halfOf(x))
	case safetensors.F32:
		return binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(x)))
	case safetensors.F64:
		return binary.LittleEndian.AppendUint64(out, math.Float64bits(x))
	}
	panic(d)
}

// halfOf rounds x toward zero to F16, subnormals to zero: exact enough for data.
func halfOf(x float64) uint16 {
	u := math.Float32bits(float32(x))
	sign, exp, frac := uint16(u>>16&0x8000), int(u>>23&0xff)-112, uint16(u>>13&0x3ff)
	switch {
	case u&0x7fffffff > 0x7f800000:
		return sign | 0x7e00
	case exp >= 31:
		return sign | 0x7c00
	case exp <= 0:
		return sign
	}
	return sign | uint16(exp)<<10 | frac
}

// scales are positive numbers of a dtype that scales may have.
func scales(d safetensors.DType, n int, seed uint64) []byte {
	r := source(seed)
	var out []byte
	for range n {
		switch d {
		case safetensors.F8E8M0, safetensors.U8:
			out = append(out, byte(118+r.IntN(6)))
		default:
			out = encode(out, d, 0.001+r.Float64()*0.01)
		}
	}
	return out
}

// floats decodes scales.
func floats(t testing.TB, d safetensors.DType, raw []byte) []float32 {
	t.Helper()
	size := int(d.Bits() / 8)
	out := make([]float32, len(raw)/size)
	for i := range out {
		p := raw[i*size:]
		switch d {
		case safetensors.F32:
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(p))
		case safetensors.BF16:
			out[i] = fp8.BF16ToFloat32(binary.LittleEndian.Uint16(p))
		case safetensors.F16:
			out[i] = fp8.F16ToFloat32(binary.LittleEndian.Uint16(p))
		case safetensors.F8E8M0, safetensors.U8:
			out[i] = fp8.E8M0ToFloat32(p[0])
		default:
			t.Fatalf("scales of %s", d)
		}
	}
	return out
}
