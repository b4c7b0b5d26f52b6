package gputest

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"quern/fp8"
	"quern/gemm"
	"quern/gpu"
)

// dequantize takes all codes, with scales of all sizes and grids of all sorts.
func dequantize(t *testing.T, d gpu.Device) {
	r := rand.New(rand.NewPCG(11, 12))
	scale := func() float32 {
		switch r.IntN(6) {
		case 0:
			return math.Float32frombits(r.Uint32() & 0x807fffff) // subnormal
		case 1:
			return finiteBits(r.Uint32())
		}
		return r.Float32() * 0.01
	}
	grid := func(rows, cols, tileRows, tileCols int) fp8.Grid {
		g := fp8.Grid{Rows: rows, Cols: cols, TileRows: tileRows, TileCols: tileCols}
		for range rows * cols {
			g.Scales = append(g.Scales, scale())
		}
		return g
	}
	scattered := grid(40, 3, 1, 128)
	scattered.RowOf = func(r int) int { return r * 7 % 40 }
	offset := grid(9, 9, 32, 32)
	offset.Row0, offset.Col0 = 37, 19
	infinite := grid(2, 2, 128, 128)
	infinite.Scales[1] = float32(math.Inf(1))
	for name, g := range map[string]fp8.Grid{
		"tiles":       grid(3, 3, 128, 128),
		"rows":        grid(300, 1, 1, 1000),
		"one":         grid(1, 1, 1<<40, 1<<40),
		"groups":      grid(150, 9, 2, 32),
		"odd":         grid(30, 60, 10, 5),
		"elements":    grid(70, 70, 1, 1),
		"scattered":   scattered,
		"offset":      offset,
		"not finite":  infinite,
		"256 columns": grid(2, 2, 128, 256),
	} {
		for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF32} {
			for _, cols := range []int{64, 67, 1, 40001} {
				rows := min(70, max(g.Rows*min(g.TileRows, 1000)-g.Row0, 40))
				if cols > 1000 { // more than fits a small device's memory by rows
					if g.TileCols < 1<<20 {
						continue
					}
					rows = 2
				} else if cols > 1 && g.TileCols*g.Cols >= 259+g.Col0 {
					cols += 192
				}
				stride, dstStride := cols+r.IntN(3), cols+r.IntN(3)
				codes := make([]byte, rows*stride)
				for i := range codes {
					codes[i] = byte(i + i/256*31)
				}
				want := bytes.Repeat([]byte{untouched}, rows*dstStride*e.Size())
				got := bytes.Clone(want)
				if err := fp8.Dequantize(want, dstStride, e, codes, stride, rows, cols, g); err != nil {
					t.Fatal(name, err)
				}
				if err := d.Dequantize(got, dstStride, e, codes, stride, rows, cols, g).Wait(); err != nil {
					t.Fatal(name, err)
				}
				for i := range want {
					if got[i] != want[i] {
						t.Fatalf("%s, %v, %d×%d: byte %d: %#02x, want %#02x", name, e, rows, cols, i, got[i], want[i])
					}
				}
			}
		}
	}
}

// arguments are refused as package fp8 refuses them, and not as failures of the
// device.
func arguments(t *testing.T, d gpu.Device) {
	m := newMatrix(fp8.ElemBF16, 4, 5, 5, kinds[0].f(rand.New(rand.NewPCG(1, 1))))
	codes, tiles := make([]byte, 20), make([]fp8.TileStats, 1)
	short, wide, odd := m, m, m
	short.Data = m.Data[:39]
	wide.Cols = 6
	odd.Elem = 17
	negative := m
	negative.Rows = -1
	grid := fp8.Grid{Scales: []float32{1}, Rows: 1, Cols: 1, TileRows: 128, TileCols: 128}
	beyond := grid
	beyond.Row0 = 126
	for name, p := range map[string]*gpu.Pending{
		"short":     d.Quantize(codes, 5, tiles, short, fp8.Options{}),
		"wide":      d.Quantize(codes, 5, tiles, wide, fp8.Options{}),
		"elem":      d.Quantize(codes, 5, tiles, odd, fp8.Options{}),
		"negative":  d.Quantize(codes, 5, tiles, negative, fp8.Options{}),
		"codes":     d.Quantize(codes[:19], 5, tiles, m, fp8.Options{}),
		"tiles":     d.Quantize(codes, 5, tiles[:0], m, fp8.Options{}),
		"search":    d.Quantize(codes, 5, tiles, m, fp8.Options{Search: 9}),
		"weights":   d.Quantize(codes, 5, tiles, m, fp8.Options{Search: fp8.SearchWeighted, Weights: []float32{1}}),
		"scales":    d.Scales(nil, m, fp8.Options{}),
		"amax":      d.Amax(make([]float32, 2), m),
		"amax elem": d.Amax(make([]float32, 1), odd),
		"dst":       d.Dequantize(codes, 5, fp8.ElemF32, codes, 5, 4, 5, grid),
		"dst elem":  d.Dequantize(codes, 5, fp8.ElemF16, codes, 5, 1, 1, grid),
		"grid":      d.Dequantize(codes, 1, fp8.ElemBF16, codes, 1, 4, 1, beyond),
		"x":         d.Mul(make([]float32, 8), 4, make([]float32, 9), 5, 2, &gemm.Weight{Data: m.Data, Format: gemm.BF16, Out: 4, In: 5}),
		"y":         d.Mul(make([]float32, 7), 4, make([]float32, 10), 5, 2, &gemm.Weight{Data: m.Data, Format: gemm.BF16, Out: 4, In: 5}),
		"w":         d.Mul(make([]float32, 8), 4, make([]float32, 10), 5, 2, &gemm.Weight{Data: short.Data, Format: gemm.BF16, Out: 4, In: 5}),
		"w format":  d.Mul(make([]float32, 8), 4, make([]float32, 10), 5, 2, &gemm.Weight{Data: m.Data, Format: 9, Out: 4, In: 5}),
		"w scales":  d.Mul(make([]float32, 8), 4, make([]float32, 10), 5, 2, &gemm.Weight{Data: codes, Format: gemm.E4M3, Out: 4, In: 5, Scales: []float32{1}, TileOut: 2, TileIn: 128}),
		"w tiles":   d.Mul(make([]float32, 8), 4, make([]float32, 10), 5, 2, &gemm.Weight{Data: codes, Format: gemm.E4M3, Out: 4, In: 5, Scales: []float32{1}}),
		"w bf16":    d.Mul(make([]float32, 8), 4, make([]float32, 10), 5, 2, &gemm.Weight{Data: m.Data, Format: gemm.BF16, Out: 4, In: 5, Scales: []float32{1}, TileOut: 128, TileIn: 128}),
	} {
		if err := p.Wait(); err == nil || isDevice(err) {
			t.Errorf("%s: error %v", name, err)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}
