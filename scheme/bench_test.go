package scheme_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/cpu"
	"quern/internal/cpu/cputest"
	"quern/scheme"
)

// BenchmarkForms decodes what others write, by destination bytes.
func BenchmarkForms(b *testing.B) {
	const rows, cols, bf16 = 256, 2048, safetensors.BF16
	for _, x := range []struct {
		name string
		shaped
	}{
		{"gpt-oss", shaped{scheme.MXFP4Turned, packing(scheme.Packing{Each: cols}), cols, rows}},
		{"mlx-mxfp8", shaped{scheme.MLXFP8, packing(scheme.Packing{Codes: safetensors.U32}), rows, cols}},
		{"pack-quantized-4", shaped{scheme.PackQuantized, packing(scheme.Packing{Bits: 4, Group: 128, Scales: bf16}), rows, cols}},
		{"pack-quantized-4-zeros", shaped{scheme.PackQuantized, packing(scheme.Packing{Bits: 4, Group: 32, Scales: bf16, Zeros: true}), rows, cols}},
		{"pack-quantized-4-order", shaped{scheme.PackQuantized, packing(scheme.Packing{Bits: 4, Group: 128, Scales: bf16, Order: true}), rows, cols}},
		{"pack-quantized-8", shaped{scheme.PackQuantized, packing(scheme.Packing{Bits: 8, Group: 128, Scales: bf16}), rows, cols}},
		{"awq", shaped{scheme.AWQ, packing(scheme.Packing{Bits: 4, Group: 128, Scales: safetensors.F16, Zeros: true}), rows, cols}},
		{"gptq-4", shaped{scheme.GPTQ, packing(scheme.Packing{Bits: 4, Group: 128, Scales: safetensors.F16, Zeros: true}), rows, cols}},
		{"gptq-4-order", shaped{scheme.GPTQ, packing(scheme.Packing{Bits: 4, Group: 128, Scales: safetensors.F16, Zeros: true, Order: true}), rows, cols}},
		{"gptq-8", shaped{scheme.GPTQ, packing(scheme.Packing{Bits: 8, Group: 128, Scales: safetensors.F16, Zeros: true}), rows, cols}},
		{"mlx-affine-4", shaped{scheme.MLXAffine, packing(scheme.Packing{Bits: 4, Group: 64, Scales: bf16}), rows, cols}},
		{"mlx-affine-8", shaped{scheme.MLXAffine, packing(scheme.Packing{Bits: 8, Group: 64, Scales: bf16}), rows, cols}},
		{"mlx-affine-6", shaped{scheme.MLXAffine, packing(scheme.Packing{Bits: 6, Group: 64, Scales: bf16}), rows, cols}},
		{"int8", shaped{scheme.INT8, packing(scheme.Packing{Scales: bf16}), rows, cols}},
	} {
		files := x.bytesOf(rand.New(rand.NewPCG(1, 2)))
		all := scheme.Part{Rows: x.rows, Cols: x.cols}
		for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF32} {
			for _, path := range cpu.Paths() {
				b.Run(fmt.Sprintf("%s/%v/%s", x.name, e, path), func(b *testing.B) {
					cputest.Use(b, path)
					dst := make([]byte, rows*cols*e.Size())
					b.SetBytes(int64(len(dst)))
					for b.Loop() {
						if err := x.s.Decode(x.p, dst, int(x.cols), e, files, all); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
