package gpu

import (
	"encoding/binary"
	"math"
	"runtime"

	"quern/fp8"
	"quern/gemm"
	paths "quern/internal/cpu"
)

// CPU returns the processor as a device. Its calls are done when they return: it
// is its callers' goroutines that run side by side.
func CPU() Device { return cpu{} }

type cpu struct{}

func (cpu) Info() Info {
	return Info{
		Kind: "cpu", Name: cpuName(), API: runtime.GOARCH, Units: runtime.GOMAXPROCS(0), FMA: true,
		Kernels: paths.Path(),
	}
}

func (cpu) Quantize(codes []byte, codeStride int, tiles []fp8.TileStats, m fp8.Matrix, o fp8.Options) *Pending {
	return done(fp8.Quantize(codes, codeStride, tiles, m, o))
}

func (cpu) Dequantize(dst []byte, dstStride int, elem fp8.Elem, codes []byte, codeStride, rows, cols int, g fp8.Grid) *Pending {
	return done(fp8.Dequantize(dst, dstStride, elem, codes, codeStride, rows, cols, g))
}

func (cpu) Mul(y []float32, ldy int, x []float32, ldx, rows int, w *gemm.Weight) *Pending {
	if err := checkMul(y, ldy, x, ldx, rows, w); err != nil {
		return done(err)
	}
	gemm.Mul(y, ldy, x, ldx, rows, w, gemm.Options{})
	return done(nil)
}

func (cpu) Scales(scales []float32, m fp8.Matrix, o fp8.Options) *Pending {
	tileRows, tileCols, err := checkTiles("scales", len(scales), m, o)
	if err != nil {
		return done(err)
	}
	codes := make([]byte, min(fp8.Tile, m.Rows)*m.Cols)
	tiles := make([]fp8.TileStats, tileCols)
	for i := range tileRows {
		if err := fp8.Quantize(codes, m.Cols, tiles, tileRow(m, i), o); err != nil {
			return done(err)
		}
		for j, t := range tiles {
			if t.NonFinite {
				t.Scale = float32(math.NaN())
			}
			scales[i*tileCols+j] = t.Scale
		}
	}
	return done(nil)
}

func (cpu) Amax(amax []float32, m fp8.Matrix) *Pending {
	tileRows, tileCols, err := checkTiles("amax", len(amax), m, fp8.Options{})
	if err != nil {
		return done(err)
	}
	size := m.Elem.Size()
	for i := range tileRows {
		out := amax[i*tileCols:][:tileCols]
		clear(out)
		t := tileRow(m, i)
		for r := range t.Rows {
			row := t.Data[r*t.Stride*size:]
			for j := range out {
				at := j * fp8.Tile
				out[j] = larger(out[j], magnitude(row[at*size:min(at+fp8.Tile, t.Cols)*size], m.Elem))
			}
		}
	}
	return done(nil)
}

func (cpu) NewBuffer(n int) (*Buffer, error) { return &Buffer{Bytes: make([]byte, n)}, nil }

func (cpu) Close() error { return nil }

// tileRow returns a row of tiles of m.
func tileRow(m fp8.Matrix, i int) fp8.Matrix {
	m.Data = m.Data[i*fp8.Tile*m.Stride*m.Elem.Size():]
	m.Rows = min(fp8.Tile, m.Rows-i*fp8.Tile)
	return m
}

// magnitude returns the largest magnitude of a run of elements. Magnitudes are
// ordered as their bits are, infinity and NaN above all others.
func magnitude(p []byte, e fp8.Elem) float32 {
	switch e {
	case fp8.ElemBF16, fp8.ElemF16:
		var top uint16
		for ; len(p) >= 2; p = p[2:] {
			top = max(top, binary.LittleEndian.Uint16(p)&0x7fff)
		}
		if e == fp8.ElemF16 {
			return fp8.F16ToFloat32(top)
		}
		return fp8.BF16ToFloat32(top)
	case fp8.ElemF32:
		var top uint32
		for ; len(p) >= 4; p = p[4:] {
			top = max(top, binary.LittleEndian.Uint32(p)&0x7fffffff)
		}
		return math.Float32frombits(top)
	default:
		var top uint64
		for ; len(p) >= 8; p = p[8:] {
			top = max(top, binary.LittleEndian.Uint64(p)&(1<<63-1))
		}
		return float32(math.Float64frombits(top)) // rounding keeps the order
	}
}

// larger returns the larger of two magnitudes, NaN above all others.
func larger(a, b float32) float32 {
	return math.Float32frombits(max(math.Float32bits(a), math.Float32bits(b)))
}
