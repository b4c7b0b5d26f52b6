package group

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"quern/fp8"
	"quern/internal/cpu/cputest"
)

const benchRows, benchCols = 256, 2048

// benchFormats are those that kernels differ for.
var benchFormats = []struct {
	name   string
	format Format
}{
	{"nvfp4", NVFP4{Tensor: NVFP4Scale(0.1)}},
	{"nvfp4-mse", NVFP4{Tensor: NVFP4Scale(0.1), Search: Search{By: fp8.SearchMSE}}},
	{"mxfp4", MXFP4{}},
	{"mxfp8", MXFP8{}},
	{"int4", INT4{}},
	{"int4-mse", INT4{Search: Search{By: fp8.SearchMSE}}},
	{"fp8-rows", FP8Rows{Scale: fp8.ElemBF16}},
}

// BenchmarkEncode counts source bytes.
func BenchmarkEncode(b *testing.B) {
	for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF32} {
		r := rand.New(rand.NewPCG(1, 2))
		m := source(e, benchRows, benchCols, benchCols, func(int) float64 { return r.NormFloat64() * 0.02 })
		rows := make([]Row, m.Rows)
		for _, f := range benchFormats {
			dst := dense(f.format.Layout(), m.Rows, m.Cols)
			for _, p := range paths() {
				b.Run(fmt.Sprintf("%v/%s/%s", e, f.name, p.name), func(b *testing.B) {
					cputest.Use(b, p.name)
					b.SetBytes(int64(len(m.Data)))
					for b.Loop() {
						if err := f.format.Encode(dst, rows, m); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkDecode counts destination bytes.
func BenchmarkDecode(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	m := source(fp8.ElemBF16, benchRows, benchCols, benchCols, func(int) float64 { return r.NormFloat64() * 0.02 })
	for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF32} {
		dst := make([]byte, m.Rows*m.Cols*e.Size())
		for _, f := range benchFormats {
			src, _ := encoded(b, f.format, m)
			for _, p := range paths() {
				b.Run(fmt.Sprintf("%v/%s/%s", e, f.name, p.name), func(b *testing.B) {
					cputest.Use(b, p.name)
					b.SetBytes(int64(len(dst)))
					for b.Loop() {
						if err := f.format.Decode(dst, m.Cols, e, src, m.Rows, m.Cols); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
