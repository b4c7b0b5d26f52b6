package gpu

import (
	"encoding/binary"
	"fmt"
	"math"

	"quern/fp8"
	"quern/gemm"
)

// stride is the distance of two rows of w.
func stride(w *gemm.Weight) int {
	if w.Stride == 0 {
		return w.In
	}
	return w.Stride
}

// plain reports whether w lies row by row in Data: others are the processor's.
func plain(w *gemm.Weight) bool { return !w.Transposed && w.Data != nil }

// checkMul says why the arguments of Mul do not fit. Of weights that are not plain
// it looks at nothing but their shape.
func checkMul(y []float32, ldy int, x []float32, ldx, rows int, w *gemm.Weight) error {
	size := w.Format.Size()
	if size == 0 {
		return fmt.Errorf("multiplying: weights of %v", w.Format)
	}
	for _, a := range []struct {
		what               string
		n, ld, rows, width int
	}{
		{"x", len(x), ldx, rows, w.In},
		{"y", len(y), ldy, rows, w.Out},
		{"weights", len(w.Data) / size, stride(w), w.Out, w.In},
	} {
		if a.what == "weights" && !plain(w) && len(w.Data) == 0 {
			continue
		}
		if a.what == "weights" && w.Transposed {
			a.rows, a.width = a.width, a.rows
			if w.Stride == 0 {
				a.ld = w.Out
			}
		}
		if !fits(a.n, a.ld, a.rows, a.width) {
			return fmt.Errorf("multiplying: %s: %d elements hold no %d rows of %d, %d apart", a.what, a.n, a.rows, a.width, a.ld)
		}
	}
	if w.Scales == nil || w.Out == 0 || w.In == 0 {
		return nil
	}
	if w.Format != gemm.E4M3 || w.Transposed || w.TileOut <= 0 || w.TileIn <= 0 {
		return fmt.Errorf("multiplying: scales for weights of %v, transposed %v, in tiles of %d×%d", w.Format, w.Transposed, w.TileOut, w.TileIn)
	}
	if down, across := ceilDiv(w.Out, w.TileOut), ceilDiv(w.In, w.TileIn); len(w.Scales)/across < down {
		return fmt.Errorf("multiplying: %d scales for a grid of %d×%d", len(w.Scales), down, across)
	}
	return nil
}

// gridOf are the scales of codes; 1 where there are none.
func gridOf(w *gemm.Weight) *fp8.Grid {
	if w.Scales == nil {
		return &fp8.Grid{Scales: []float32{1}, Rows: 1, Cols: 1, TileRows: w.Out, TileCols: w.In}
	}
	return &fp8.Grid{
		Scales: w.Scales, Rows: ceilDiv(w.Out, w.TileOut), Cols: ceilDiv(w.In, w.TileIn),
		TileRows: w.TileOut, TileCols: w.TileIn,
	}
}

// weightRow writes the weights of output o as float32.
func weightRow(dst []float32, w *gemm.Weight, o int) {
	src := w.Data[o*stride(w)*w.Format.Size():]
	for i := range dst {
		switch w.Format {
		case gemm.F32:
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		case gemm.BF16:
			dst[i] = fp8.BF16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		case gemm.F16:
			dst[i] = fp8.F16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		default:
			g := gridOf(w)
			dst[i] = fp8.E4M3ToFloat32(src[i]) * g.Scales[o/g.TileRows*g.Cols+i/g.TileCols]
		}
	}
}

// CheckMul compares what [Device.Mul] has written to y with the exact products, by
// the bound that is stated there. The weights must lie in w.Data, not transposed.
func CheckMul(y []float32, ldy int, x []float32, ldx, rows int, w *gemm.Weight) error {
	line := make([]float32, w.In)
	for o := range w.Out {
		weightRow(line, w, o)
		for r := range rows {
			var sum, size float64
			for i, v := range x[r*ldx:][:w.In] {
				p := float64(v) * float64(line[i])
				sum += p
				size += math.Abs(p)
			}
			bound := float64(w.In+1)*0x1p-24*size + float64(w.In)*0x1p-149
			if got := float64(y[r*ldy+o]); !(math.Abs(got-sum) <= bound) {
				return fmt.Errorf("product of row %d and output %d: %g instead of %g, which is off by more than %g", r, o, got, sum, bound)
			}
		}
	}
	return nil
}
