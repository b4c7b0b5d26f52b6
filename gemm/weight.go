package gemm

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"quern/fp8"
)

// Format is how an element of a weight matrix is stored, little-endian.
type Format uint8

const (
	F32 Format = iota
	BF16
	F16
	E4M3 // with a scale, see [Weight]
)

// Size returns the bytes of one element, 0 for an unknown format.
func (f Format) Size() int {
	switch f {
	case F32:
		return 4
	case BF16, F16:
		return 2
	case E4M3:
		return 1
	}
	return 0
}

// String returns the name that safetensors headers use.
func (f Format) String() string {
	switch f {
	case F32:
		return "F32"
	case BF16:
		return "BF16"
	case F16:
		return "F16"
	case E4M3:
		return "F8_E4M3"
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// Weight is a matrix of Out×In weights as a checkpoint stores it. Nothing is
// copied; the memory must not change while a product is computed.
type Weight struct {
	Out, In int
	Format  Format

	// Data holds the elements at any alignment: element (o, i) is the one with
	// number o·Stride+i or, if Transposed, i·Stride+o. Stride 0 means dense: In,
	// or Out if Transposed.
	Data       []byte
	Stride     int
	Transposed bool

	// Scales belong to E4M3: one for each tile of TileOut×TileIn elements, row-major
	// [⌈Out/TileOut⌉][⌈In/TileIn⌉]. The weight is the code's value times its scale,
	// rounded once to float32; a NaN code is NaN whatever the scale. With nil all
	// scales are 1. A transposed matrix has none.
	Scales          []float32
	TileOut, TileIn int

	floats []float32 // in place of Data, in the machine's byte order
}

// Floats returns the matrix that lies in w, without copying: element (o, i) at
// o·stride+i or, if transposed, i·stride+o; stride 0 means dense. So attention's
// scores are Mul with the rows of K as weights, and the weighted sum of the rows
// of V is Mul with V transposed.
func Floats(w []float32, out, in, stride int, transposed bool) Weight {
	return Weight{Out: out, In: in, Stride: stride, Transposed: transposed, floats: w}
}

// shape returns rows, columns and row length of the storage.
func (w *Weight) shape() (rows, cols, stride int) {
	rows, cols = w.Out, w.In
	if w.Transposed {
		rows, cols = cols, rows
	}
	stride = w.Stride
	if stride == 0 {
		stride = cols
	}
	return rows, cols, stride
}

// tilesIn returns the scales in a row of tiles.
func (w *Weight) tilesIn() int { return (w.In + w.TileIn - 1) / w.TileIn }

// check panics unless the fields fit together: the kernels in assembly rely on it.
func (w *Weight) check() {
	size := w.Format.Size()
	if size == 0 || w.floats != nil && w.Format != F32 {
		panic(fmt.Sprintf("gemm: weights of %v", w.Format))
	}
	if w.Out < 0 || w.In < 0 {
		panic(fmt.Sprintf("gemm: weights of shape [%d %d]", w.Out, w.In))
	}
	have := len(w.floats)
	if w.floats == nil {
		have = len(w.Data) / size
	}
	rows, cols, stride := w.shape()
	checkRows("weights", have, stride, rows, cols)
	if w.Scales == nil {
		return
	}
	if w.Format != E4M3 || w.Transposed {
		panic(fmt.Sprintf("gemm: scales for weights of %v, transposed %v", w.Format, w.Transposed))
	}
	if w.TileOut <= 0 || w.TileIn <= 0 {
		panic(fmt.Sprintf("gemm: tiles of %d×%d", w.TileOut, w.TileIn))
	}
	if w.Out == 0 || w.In == 0 {
		return
	}
	down, across := (w.Out-1)/w.TileOut+1, (w.In-1)/w.TileIn+1
	if len(w.Scales)/across < down {
		panic(fmt.Sprintf("gemm: %d scales for a grid of %d×%d", len(w.Scales), down, across))
	}
}

// checkRows panics unless rows of cols elements that begin stride apart fit into
// have elements. It divides where a product could overflow.
func checkRows(what string, have, stride, rows, cols int) {
	if rows < 0 || cols < 0 || stride < cols {
		panic(fmt.Sprintf("gemm: %s: %d rows of %d elements, %d apart", what, rows, cols, stride))
	}
	if rows == 0 || cols == 0 {
		return
	}
	if have < cols || stride > 0 && (have-cols)/stride < rows-1 {
		panic(fmt.Sprintf("gemm: %s: %d elements are too few for %d rows of %d, %d apart", what, have, rows, cols, stride))
	}
}

// at returns where element n of the storage lies. n must be that of an element.
func (w *Weight) at(n int) *byte {
	if w.floats != nil {
		return (*byte)(unsafe.Pointer(&w.floats[n]))
	}
	return &w.Data[n*w.Format.Size()]
}

// decode writes the elements of the storage from number n on, without scales.
func (w *Weight) decode(dst []float32, n int) {
	if w.floats != nil {
		copy(dst, w.floats[n:])
		return
	}
	size := w.Format.Size()
	src := w.Data[n*size:][:len(dst)*size]
	switch w.Format {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = fp8.BF16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = fp8.F16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case E4M3:
		for i := range dst {
			dst[i] = fp8.E4M3ToFloat32(src[i])
		}
	}
}

// decodeRow writes the weights (o, i0) to (o, i0+len(dst)−1), scales applied, of a
// matrix that is not transposed.
func (w *Weight) decodeRow(dst []float32, o, i0 int) {
	_, _, stride := w.shape()
	w.decode(dst, o*stride+i0)
	if w.Scales == nil {
		return
	}
	scales := w.Scales[o/w.TileOut*w.tilesIn():][:w.tilesIn()]
	for i := range dst {
		// Not for NaN, whose sign and bits stay those of the code.
		if x := dst[i]; x == x {
			dst[i] = x * scales[(i0+i)/w.TileIn]
		}
	}
}
