package gpu

import (
	"encoding/binary"
	"fmt"
	"math"

	"quern/fp8"
	"quern/gemm"
)

// selfTest is what a device has to pass before it is used: the short form of the
// suite in gputest.
func selfTest(d Device) error {
	for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF16, fp8.ElemF32} {
		m := testMatrix(e)
		for _, o := range []fp8.Options{
			{},
			{ScaleFormat: fp8.ScaleUE8M0, Search: fp8.SearchMSE},
			{Search: fp8.SearchWeighted, Weights: testWeights(m.Cols)},
		} {
			if err := testQuantize(d, m, o); err != nil {
				return fmt.Errorf("self-test: %v, scales %d, search %d: %w", e, o.ScaleFormat, o.Search, err)
			}
		}
		if err := testAmax(d, m); err != nil {
			return fmt.Errorf("self-test: %v: %w", e, err)
		}
	}
	if err := testDequantize(d); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	if err := testMul(d); err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	return nil
}

// noise is a small generator of numbers, the same on every machine.
type noise uint32

func (n *noise) next() uint32 {
	*n = *n*1664525 + 1013904223
	return uint32(*n)>>8 ^ uint32(*n)<<13
}

// testMatrix is ragged and has a tile of usual weights, one of all patterns that
// are finite, one of zeros with a few subnormal numbers, and small rests.
func testMatrix(e fp8.Elem) fp8.Matrix {
	const rows, cols = 131, 390
	size := e.Size()
	m := fp8.Matrix{Data: make([]byte, rows*cols*size), Elem: e, Rows: rows, Cols: cols, Stride: cols}
	n := noise(1)
	for r := range rows {
		for c := range cols {
			bits := n.next()
			switch c / fp8.Tile {
			case 0:
				bits = math.Float32bits((float32(bits>>8)*0x1p-24 - 0.5) * 0.1)
			case 2:
				if bits%64 != 0 {
					bits = 0
				}
				bits &= 0x800fffff
			}
			p := m.Data[(r*cols+c)*size:]
			switch {
			case e == fp8.ElemF32:
				if bits&0x7f800000 == 0x7f800000 {
					bits &^= 0x40000000
				}
				binary.LittleEndian.PutUint32(p, bits)
			case e == fp8.ElemBF16:
				if bits&0x7f800000 == 0x7f800000 {
					bits &^= 0x40000000
				}
				binary.LittleEndian.PutUint16(p, uint16(bits>>16))
			default:
				h := uint16(bits>>16)&0x8000 | uint16(bits>>13)&0x3fff // below 2
				binary.LittleEndian.PutUint16(p, h)
			}
		}
	}
	return m
}

func testWeights(n int) []float32 {
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(i*i%97) * 0.125
	}
	return w
}

func testQuantize(d Device, m fp8.Matrix, o fp8.Options) error {
	n := ceilDiv(m.Rows, fp8.Tile) * ceilDiv(m.Cols, fp8.Tile)
	want, got := make([]byte, m.Rows*m.Cols), make([]byte, m.Rows*m.Cols)
	wantTiles, gotTiles := make([]fp8.TileStats, n), make([]fp8.TileStats, n)
	scales := make([]float32, n)
	if err := fp8.Quantize(want, m.Cols, wantTiles, m, o); err != nil {
		return err
	}
	q, s := d.Quantize(got, m.Cols, gotTiles, m, o), d.Scales(scales, m, o)
	if err := q.Wait(); err != nil {
		return err
	}
	if err := s.Wait(); err != nil {
		return err
	}
	for i := range wantTiles {
		if gotTiles[i] != wantTiles[i] {
			return fmt.Errorf("tile %d: %+v instead of %+v", i, gotTiles[i], wantTiles[i])
		}
		if scales[i] != wantTiles[i].Scale {
			return fmt.Errorf("tile %d: scale %g instead of %g", i, scales[i], wantTiles[i].Scale)
		}
	}
	return differ("code", got, want)
}

// differ is about the first byte that differs.
func differ(what string, got, want []byte) error {
	for i := range want {
		if got[i] != want[i] {
			return fmt.Errorf("%s %d: %#02x instead of %#02x", what, i, got[i], want[i])
		}
	}
	return nil
}

func testAmax(d Device, m fp8.Matrix) error {
	n := ceilDiv(m.Rows, fp8.Tile) * ceilDiv(m.Cols, fp8.Tile)
	want, got := make([]float32, n), make([]float32, n)
	if err := CPU().Amax(want, m).Wait(); err != nil {
		return err
	}
	if err := d.Amax(got, m).Wait(); err != nil {
		return err
	}
	for i := range want {
		if got[i] != want[i] {
			return fmt.Errorf("amax of tile %d: %g instead of %g", i, got[i], want[i])
		}
	}
	return nil
}

// testDequantize takes every code with a few scales.
func testDequantize(d Device) error {
	const rows, cols = 3, 258
	codes := make([]byte, rows*cols)
	for i := range codes {
		codes[i] = byte(i)
	}
	g := fp8.Grid{Scales: []float32{1, 0x1p-126, 0.0371, 0x1.8p-130, -3, 0x1p119}, Rows: 2, Cols: 3, TileRows: 2, TileCols: 128}
	for _, e := range []fp8.Elem{fp8.ElemBF16, fp8.ElemF32} {
		want, got := make([]byte, len(codes)*e.Size()), make([]byte, len(codes)*e.Size())
		if err := fp8.Dequantize(want, cols, e, codes, cols, rows, cols, g); err != nil {
			return err
		}
		if err := d.Dequantize(got, cols, e, codes, cols, rows, cols, g).Wait(); err != nil {
			return err
		}
		if err := differ("dequantized byte", got, want); err != nil {
			return err
		}
	}
	return nil
}

// testMul multiplies by weights of every type, and compares with float64.
func testMul(d Device) error {
	const rows, in, out = 5, 70, 131
	n := noise(2)
	uniform := func() float32 { return float32(n.next()>>8)*0x1p-23 - 1 }
	x := make([]float32, rows*in)
	for i := range x {
		x[i] = uniform()
	}
	for _, f := range []gemm.Format{gemm.F32, gemm.BF16, gemm.F16, gemm.E4M3} {
		w := &gemm.Weight{Out: out, In: in, Format: f, Data: make([]byte, out*in*f.Size())}
		for i := range out * in {
			v := uniform()
			switch p := w.Data[i*f.Size():]; f {
			case gemm.F32:
				binary.LittleEndian.PutUint32(p, math.Float32bits(v))
			case gemm.BF16:
				binary.LittleEndian.PutUint16(p, fp8.BF16FromFloat32(v))
			case gemm.F16:
				binary.LittleEndian.PutUint16(p, uint16(n.next())&0xbfff) // below 2
			default:
				p[0] = fp8.E4M3FromFloat32(v)
			}
		}
		if f == gemm.E4M3 {
			w.Scales, w.TileOut, w.TileIn = []float32{0.5, 0.3}, fp8.Tile, fp8.Tile
		}
		y := make([]float32, rows*out)
		if err := d.Mul(y, out, x, in, rows, w).Wait(); err != nil {
			return err
		}
		if err := CheckMul(y, out, x, in, rows, w); err != nil {
			return fmt.Errorf("%v: %w", f, err)
		}
	}
	return nil
}
