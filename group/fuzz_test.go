package group

import (
	"encoding/binary"
	"math"
	"testing"

	"quern/fp8"
)

// FuzzPaths holds all paths against the reference on any weights of any type.
func FuzzPaths(f *testing.F) {
	f.Add([]byte{0, 0x3f, 1, 0x80, 0xff, 0x7e, 0, 0x80}, uint8(0), uint8(0), uint32(0x3c000000))
	f.Add([]byte{0, 0, 0x80, 0x3f, 1, 0, 0, 0}, uint8(2), uint8(40), uint32(0x04800000))
	f.Fuzz(func(t *testing.T, seed []byte, elem, cols uint8, tensor uint32) {
		e := allElems[int(elem)%len(allElems)]
		n := (1 + int(cols)%80) * 16
		data := make([]byte, n*e.Size())
		if len(seed) > 0 {
			for i := range data {
				data[i] = seed[i%len(seed)] + uint8(i/len(seed)*37)
			}
		}
		m := fp8.Matrix{Data: data, Elem: e, Rows: 1, Cols: n, Stride: n}
		weights := make([]float32, n)
		for i := range weights {
			weights[i] = abs(math.Float32frombits(binary.LittleEndian.Uint32([]byte{data[i], data[n-1-i], data[i/2], 0x3f})))
		}
		fs := formats(m)
		if s := math.Float32frombits(tensor); s >= leastTensorScale && s <= mostTensorScale {
			fs = append(fs, NVFP4{Tensor: s, Search: Search{By: fp8.SearchWeighted, Weights: weights}}, FP8Tensor{Tensor: s})
		}
		for _, format := range fs {
			if format.Layout().Check(n) == nil {
				comparePaths(t, "fuzz", format, m)
			}
		}
	})
}
