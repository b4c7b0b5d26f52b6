package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"quern/formats/safetensors"
)

// fixture is a checkpoint file in the making.
type fixture []fixtureTensor

type fixtureTensor struct {
	name  string
	dtype safetensors.DType
	shape []int64
	data  []byte
}

// tensor makes one whose elements are given by their bits, repeated.
func tensor(name string, d safetensors.DType, shape []int64, bits ...uint64) fixtureTensor {
	t := fixtureTensor{name: name, dtype: d, shape: shape}
	n, err := safetensors.SizeOf(d, shape)
	if err != nil {
		panic(err)
	}
	size := int(max(d.Bits()/8, 1))
	var word [8]byte
	for i := 0; len(t.data) < int(n); i++ {
		binary.LittleEndian.PutUint64(word[:], bits[i%len(bits)])
		t.data = append(t.data, word[:size]...)
	}
	return t
}

// noise are 257 numbers as bits of d: weights near what models have.
func noise(d safetensors.DType, seed uint64) []uint64 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]uint64, 257) // no divisor of a row
	for i := range out {
		x := r.NormFloat64() * 0.02
		switch d {
		case safetensors.F64:
			out[i] = math.Float64bits(x)
		case safetensors.F32:
			out[i] = uint64(math.Float32bits(float32(x)))
		case safetensors.BF16:
			out[i] = uint64(math.Float32bits(float32(x)) >> 16)
		case safetensors.F16:
			out[i] = uint64(r.IntN(0x2c00)) | uint64(r.IntN(2))<<15 // below 1/16
		case safetensors.F8E4M3:
			out[i] = uint64(r.IntN(0x7f)) | uint64(r.IntN(2))<<7
		case safetensors.F8E8M0:
			out[i] = uint64(110 + r.IntN(10))
		default:
			out[i] = uint64(r.IntN(100))
		}
	}
	return out
}

// parseFixture reads a list such as
//
//	model.norm.weight BF16 128
//	model.layers.0.mlp.up_proj.weight F8_E4M3 128 128 = 0x38
//
// Without = and the bits of an element, a tensor is noise.
func parseFixture(text string) (fixture, error) {
	var out fixture
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		d, err := safetensors.ParseDType(f[1])
		if err != nil {
			return nil, err
		}
		bits, shape := noise(d, uint64(len(out))), []int64{}
		for i := 2; i < len(f); i++ {
			if f[i] == "=" {
				x, err := strconv.ParseUint(f[i+1], 0, 64)
				if err != nil {
					return nil, err
				}
				bits = []uint64{x}
				break
			}
			n, err := strconv.ParseInt(f[i], 10, 64)
			if err != nil {
				return nil, err
			}
			shape = append(shape, n)
		}
		out = append(out, tensor(f[0], d, shape, bits...))
	}
	return out, nil
}

// file is the file: the tensors in their order, whatever they hold.
func (f fixture) file() []byte {
	var entries []string
	var data []byte
	for _, t := range f {
		begin := len(data)
		data = append(data, t.data...)
		entries = append(entries, entry(t.name, t.dtype.String(), t.shape, begin, len(data)))
	}
	return container("{"+strings.Join(entries, ",")+"}", data)
}

// entry is a tensor's part of a header.
func entry(name, dtype string, shape any, begin, end any) string {
	n, err1 := json.Marshal(name)
	s, err2 := json.Marshal(shape)
	if err1 != nil || err2 != nil {
		panic(fmt.Sprint(err1, err2))
	}
	return fmt.Sprintf(`%s:{"dtype":%q,"shape":%s,"data_offsets":[%v,%v]}`, n, dtype, s, begin, end)
}

// container puts the length before a header, and the data behind it.
func container(header string, data []byte) []byte {
	for len(header)%8 != 0 {
		header += " "
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), data...)
}
