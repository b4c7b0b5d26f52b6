package scheme

import (
	"iter"

	"quern/formats/safetensors"
)

// Kind tells the outputs of a scheme apart. Containers name them by it.
type Kind string

const (
	Codes       Kind = "codes"
	Scale       Kind = "scale"        // of tiles, rows, groups, or of a tensor that has no other
	TensorScale Kind = "tensor scale" // what multiplies, or divides, the scales of groups
	Dimensions  Kind = "dimensions"   // the matrix's shape, beside packed codes
	ZeroPoint   Kind = "zero point"   // of groups: what codes are counted from, or added to their products
	Order       Kind = "order"        // the group of each column
)

// Output is a tensor that a matrix becomes: a matrix of elements in row-major order
// each of which stands for a tile of weights.
type Output struct {
	Kind  Kind
	DType safetensors.DType
	Shape []int64 // as stored; Bits, not this, says where elements lie

	// TileRows and TileCols are the rows and columns that an element covers; 0 for both:
	// the output belongs to the whole matrix, and no part has bytes of it.
	TileRows, TileCols int64
	Bits               int64 // of an element; 4 where two codes share a byte

	// Across, if set, says that what is stored is turned round: elements of a column of
	// tiles follow each other. It is how many rows of the matrix that takes in; where the
	// matrix has more, as many again follow.
	Across int64
}

// Whole reports whether the output belongs to the whole matrix.
func (o *Output) Whole() bool { return o.TileRows == 0 }

// Width is how many bytes the elements of a row of tiles take over n columns.
func (o *Output) Width(cols int64) int64 { return ceilDiv(ceilDiv(cols, o.TileCols)*o.Bits, 8) }

// Size is how many bytes a part of the matrix takes.
func (o *Output) Size(p Part) int64 {
	switch {
	case o.Whole():
		return 0
	case o.Across > 0:
		n := int64(0)
		for p := range o.slabs(p) {
			n += ceilDiv(p.Cols, o.TileCols) * ceilDiv(p.Rows, o.TileRows) * o.Bits / 8
		}
		return n
	}
	return ceilDiv(p.Rows, o.TileRows) * o.Width(p.Cols)
}

// Place says where the bytes of a part lie in the output of a matrix with cols columns:
// count runs of width bytes, the first at offset, stride apart.
func (o *Output) Place(p Part, cols int64) (offset, width, stride, count int64) {
	stride = o.Width(cols)
	return p.Row/o.TileRows*stride + p.Col/o.TileCols*o.Bits/8, o.Width(p.Cols), stride, ceilDiv(p.Rows, o.TileRows)
}

// Runs yields where the bytes of a part lie in the output of a matrix with cols columns:
// offset and length of one piece after the other, in the order in which a coder has them.
func (o *Output) Runs(p Part, cols int64) iter.Seq2[int64, int64] {
	return func(yield func(offset, n int64) bool) {
		if o.Across == 0 {
			pieces(o.Place(p, cols))(yield)
			return
		}
		stride := ceilDiv(o.Across, o.TileRows) * o.Bits / 8
		for q := range o.slabs(p) {
			offset := (q.Row/o.Across*ceilDiv(cols, o.TileCols) + q.Col/o.TileCols) * stride
			offset += q.Row % o.Across / o.TileRows * o.Bits / 8
			for at, n := range pieces(offset, ceilDiv(q.Rows, o.TileRows)*o.Bits/8, stride, ceilDiv(q.Cols, o.TileCols)) {
				if !yield(at, n) {
					return
				}
			}
		}
	}
}

// slabs are the parts of a part that lie within one turned matrix each.
func (o *Output) slabs(p Part) iter.Seq[Part] {
	return func(yield func(Part) bool) {
		for end := p.Row + p.Rows; p.Row < end; p.Row += p.Rows {
			if p.Rows = min(end, (p.Row/o.Across+1)*o.Across) - p.Row; !yield(p) {
				return
			}
		}
	}
}

// pieces are runs of width bytes, in one where they follow each other.
func pieces(offset, width, stride, count int64) iter.Seq2[int64, int64] {
	return func(yield func(offset, n int64) bool) {
		if width == stride {
			width, count = width*count, min(count, 1)
		}
		for ; count > 0 && yield(offset, width); count-- {
			offset += stride
		}
	}
}

// Part is a part of a matrix.
type Part struct{ Row, Col, Rows, Cols int64 }
