package gputest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"quern/fp8"
)

// newMatrix makes a matrix of float32 numbers, rounded to e, whose rows are stride
// apart. What lies between them is NaN.
func newMatrix(e fp8.Elem, rows, cols, stride int, f func(r, c int) float32) fp8.Matrix {
	m := fp8.Matrix{Data: make([]byte, rows*stride*e.Size()), Elem: e, Rows: rows, Cols: cols, Stride: stride}
	for r := range rows {
		for c := range stride {
			x := float32(math.NaN())
			if c < cols {
				x = f(r, c)
			}
			put(m.Data[(r*stride+c)*e.Size():], e, x)
		}
	}
	return m
}

func put(p []byte, e fp8.Elem, x float32) {
	switch e {
	case fp8.ElemBF16:
		binary.LittleEndian.PutUint16(p, fp8.BF16FromFloat32(x))
	case fp8.ElemF16:
		binary.LittleEndian.PutUint16(p, f16(x))
	case fp8.ElemF32:
		binary.LittleEndian.PutUint32(p, math.Float32bits(x))
	case fp8.ElemF64:
		binary.LittleEndian.PutUint64(p, math.Float64bits(float64(x)*(1+0x1p-30)))
	}
}

// f16 is x as IEEE binary16, cut off; beyond its range the largest number.
func f16(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b>>16) & 0x8000
	a := math.Float32frombits(b & 0x7fffffff)
	switch {
	case x != x:
		return sign | 0x7e00
	case a > 65504:
		return sign | 0x7bff
	case a < 0x1p-14:
		return sign | uint16(a*0x1p24)
	}
	return sign | uint16((b&0x7fffffff)>>13-112<<10)
}

// patterns holds every finite 16-bit pattern of e, in tiles that each have
// patterns of all sizes (even columns first), or, if sorted, in tiles of their own.
func patterns(e fp8.Elem, sorted bool) fp8.Matrix {
	const edge = 256
	m := fp8.Matrix{Data: make([]byte, edge*edge*2), Elem: e, Rows: edge, Cols: edge, Stride: edge}
	inf := uint16(0x7f80)
	if e == fp8.ElemF16 {
		inf = 0x7c00
	}
	for i := range edge * edge {
		p := uint16(i)
		if !sorted {
			p = p*40503 + 12345 // odd: every pattern once
		}
		if p&inf == inf {
			p &^= inf
		}
		binary.LittleEndian.PutUint16(m.Data[2*i:], p)
	}
	return m
}

// kind is a sort of weights.
type kind struct {
	name string
	f    func(r *rand.Rand) func(row, col int) float32
}

var kinds = []kind{
	{"normal", func(r *rand.Rand) func(int, int) float32 {
		return func(int, int) float32 { return float32(r.NormFloat64() * 0.02) }
	}},
	{"outliers", func(r *rand.Rand) func(int, int) float32 {
		return func(int, int) float32 { return float32(math.Exp(r.NormFloat64()*4)) * (r.Float32() - 0.5) }
	}},
	{"wide", func(r *rand.Rand) func(int, int) float32 {
		return func(int, int) float32 { return finiteBits(r.Uint32()) }
	}},
	{"subnormal", func(r *rand.Rand) func(int, int) float32 {
		return func(int, int) float32 { return math.Float32frombits(r.Uint32() & 0x807fffff) }
	}},
	{"least", func(r *rand.Rand) func(int, int) float32 {
		return func(int, int) float32 { return math.Float32frombits(r.Uint32() & 0x81ffffff) }
	}},
	{"huge", func(r *rand.Rand) func(int, int) float32 {
		return func(int, int) float32 { return finiteBits(r.Uint32() | 0x7e000000) }
	}},
	{"zero", func(r *rand.Rand) func(int, int) float32 {
		return func(int, int) float32 { return math.Float32frombits(r.Uint32() & 0x80000000) }
	}},
	{"sparse", func(r *rand.Rand) func(int, int) float32 {
		return func(int, int) float32 {
			if r.IntN(300) != 0 {
				return 0
			}
			return float32(r.NormFloat64())
		}
	}},
	{"same", func(r *rand.Rand) func(int, int) float32 {
		x := r.Float32()
		return func(int, int) float32 { return x }
	}},
	{"ties", func(r *rand.Rand) func(int, int) float32 {
		return func(row, col int) float32 { // amax 448: scale 1, and numbers halfway between codes
			if row%128 == 0 && col%128 == 0 {
				return 448
			}
			c := uint8(r.IntN(126))
			return (fp8.E4M3ToFloat32(c) + fp8.E4M3ToFloat32(c+1)) / 2
		}
	}},
}

// finiteBits is the number of these bits, or half of it where it is not finite.
func finiteBits(b uint32) float32 {
	if b&0x7f800000 == 0x7f800000 {
		b &^= 0x00800000
	}
	return math.Float32frombits(b)
}

// options are all choices that change bytes, for matrices of cols columns.
func options(cols int) map[string]fp8.Options {
	r := rand.New(rand.NewPCG(uint64(cols), 7))
	weights := make([]float32, cols)
	for i := range weights {
		weights[i] = float32(math.Exp(r.NormFloat64() * 3))
	}
	all := map[string]fp8.Options{}
	for f, format := range []string{"float", "ue8m0"} {
		for s, search := range []string{"absmax", "mse", "weighted"} {
			o := fp8.Options{ScaleFormat: fp8.ScaleFormat(f), Search: fp8.Search(s)}
			if o.Search == fp8.SearchWeighted {
				o.Weights = weights
			}
			all[fmt.Sprintf("%s %s", format, search)] = o
		}
	}
	return all
}
