package scheme

import "quern/formats/safetensors"

// Kind tells the outputs of a scheme apart. Containers name them by it.
type Kind string

const (
	Codes       Kind = "codes"
	Scale       Kind = "scale"        // of tiles, rows, groups, or of a tensor that has no other
	TensorScale Kind = "tensor scale" // what multiplies, or divides, the scales of groups
	Dimensions  Kind = "dimensions"   // the matrix's shape, beside packed codes
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
}

// Whole reports whether the output belongs to the whole matrix.
func (o *Output) Whole() bool { return o.TileRows == 0 }

// Width is how many bytes the elements of a row of tiles take over n columns.
func (o *Output) Width(cols int64) int64 { return ceilDiv(ceilDiv(cols, o.TileCols)*o.Bits, 8) }

// Size is how many bytes a part of the matrix takes.
func (o *Output) Size(p Part) int64 {
	if o.Whole() {
		return 0
	}
	return ceilDiv(p.Rows, o.TileRows) * o.Width(p.Cols)
}

// Place says where the bytes of a part lie in the output of a matrix with cols columns:
// count runs of width bytes, the first at offset, stride apart.
func (o *Output) Place(p Part, cols int64) (offset, width, stride, count int64) {
	stride = o.Width(cols)
	return p.Row/o.TileRows*stride + p.Col/o.TileCols*o.Bits/8, o.Width(p.Cols), stride, ceilDiv(p.Rows, o.TileRows)
}

// Part is a part of a matrix.
type Part struct{ Row, Col, Rows, Cols int64 }
