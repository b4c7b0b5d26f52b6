package fp8

import (
	"math/rand/v2"
	"testing"

	"quern/internal/cpu/cputest"
)

// benchMatrix is 1 MiB of BF16 or 2 MiB of F32: eight tiles across, four down.
func benchMatrix(e Elem) Matrix {
	const rows, cols = 4 * Tile, 8 * Tile
	r := rand.New(rand.NewPCG(1, 2))
	return source(e, rows, cols, cols, func(int) float64 { return r.NormFloat64() * 0.02 })
}

// BenchmarkQuantize counts source bytes.
func BenchmarkQuantize(b *testing.B) {
	for _, e := range []struct {
		name string
		elem Elem
	}{{"bf16", ElemBF16}, {"f16", ElemF16}, {"f32", ElemF32}, {"f64", ElemF64}} {
		m := benchMatrix(e.elem)
		weights := channelWeights(m.Cols)
		codes := make([]byte, m.Rows*m.Cols)
		tiles := make([]TileStats, len(codes)/(Tile*Tile))
		for _, p := range paths() {
			for _, s := range []struct {
				name   string
				search Search
			}{{"absmax", SearchNone}, {"mse", SearchMSE}, {"weighted", SearchWeighted}} {
				b.Run(e.name+"/"+p.name+"/"+s.name, func(b *testing.B) {
					cputest.Use(b, p.name)
					b.SetBytes(int64(len(m.Data)))
					for b.Loop() {
						if err := Quantize(codes, m.Cols, tiles, m, Options{Search: s.search, Weights: weights}); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkDequantize counts destination bytes.
func BenchmarkDequantize(b *testing.B) {
	const rows, cols = 4 * Tile, 8 * Tile
	codes := make([]byte, rows*cols)
	for i := range codes {
		codes[i] = byte(i * 7 % 0x7f)
	}
	g := Grid{Scales: make([]float32, 32), Rows: 4, Cols: 8, TileRows: Tile, TileCols: Tile}
	for i := range g.Scales {
		g.Scales[i] = float32(i+1) * 1e-4
	}
	for _, e := range []struct {
		name string
		elem Elem
	}{{"bf16", ElemBF16}, {"f32", ElemF32}} {
		dst := make([]byte, rows*cols*e.elem.Size())
		for _, p := range paths() {
			b.Run(e.name+"/"+p.name, func(b *testing.B) {
				cputest.Use(b, p.name)
				b.SetBytes(int64(len(dst)))
				for b.Loop() {
					if err := Dequantize(dst, cols, e.elem, codes, cols, rows, cols, g); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkAmax is the first half of quantizing: the largest magnitude of a tile.
func BenchmarkAmax(b *testing.B) {
	m := benchMatrix(ElemBF16)
	ws := getWorkspace()
	defer putWorkspace(ws)
	t := tile{src: m.Data, elem: m.Elem, stride: m.Stride, rows: Tile, cols: Tile}
	for _, p := range paths() {
		b.Run(p.name, func(b *testing.B) {
			b.SetBytes(Tile * Tile * 2)
			for b.Loop() {
				p.bind(ws, t).amax()
			}
		})
	}
}

// BenchmarkScan counts source bytes.
func BenchmarkScan(b *testing.B) {
	m := benchMatrix(ElemF32)
	dst := make([]byte, len(m.Data)/2)
	for _, p := range paths() {
		b.Run("nonfinite/"+p.name, func(b *testing.B) {
			cputest.Use(b, p.name)
			b.SetBytes(int64(len(m.Data)))
			for b.Loop() {
				CountNonFinite(m.Data, m.Elem)
			}
		})
		b.Run("nancodes/"+p.name, func(b *testing.B) {
			cputest.Use(b, p.name)
			clear(dst)
			b.SetBytes(int64(len(dst)))
			for b.Loop() {
				CountNaNCodes(dst)
			}
		})
		b.Run("cast/"+p.name, func(b *testing.B) {
			cputest.Use(b, p.name)
			b.SetBytes(int64(len(m.Data)))
			for b.Loop() {
				CastBF16(dst, m.Data, m.Elem)
			}
		})
	}
}
