package engine

import (
	"quern/convert/plan"
	"quern/fp8"
)

// geometry says how a tensor is cut into chunks. Linear operations cut
// anywhere between elements; matrix operations cut between tile rows and, when
// a single tile row does not fit a slab, between tile columns too. In that case
// chunks are not contiguous in the output and its digest is taken afterwards.
type geometry struct {
	linear     bool
	elements   int64 // linear: of the tensor
	step       int64 // linear: elements a chunk
	rows, cols int64 // matrix
	stepRows   int64
	stepCols   int64
	in, out    int64 // bytes an element
	chunks     int
}

// cut chooses the chunks of t for slabs of the given size.
func cut(t *plan.Tensor, mem memory) geometry {
	g := geometry{in: t.Source.DType.Bits() / 8, out: t.DType.Bits() / 8}
	slab := int64(mem.slab)
	switch t.Op {
	case plan.Quantize, plan.Requantize, plan.Dequantize:
		g.rows, g.cols = t.Source.Shape[0], t.Source.Shape[1]
		per := max(g.in, g.out)
		if t.Op == plan.Requantize {
			per = 4 // the float32 form in between
		}
		g.stepCols = g.cols
		if g.rows == 0 || g.cols == 0 {
			return g
		}
		g.stepRows = slab / (g.cols * per) / fp8.Tile * fp8.Tile
		if g.stepRows == 0 {
			g.stepRows = fp8.Tile
			n := ceilDiv(g.cols*per*fp8.Tile, slab) // as few and as equal parts as fit
			g.stepCols = ceilDiv(ceilDiv(g.cols, n), fp8.Tile) * fp8.Tile
			if g.stepCols*per*fp8.Tile > slab {
				g.stepCols -= fp8.Tile
			}
		}
		g.chunks = int(ceilDiv(g.rows, g.stepRows) * ceilDiv(g.cols, g.stepCols))
	case plan.Constant: // made without chunks
	default:
		g.linear = true
		if t.Op == plan.Copy { // sub-byte types have no element of their own
			g.in, g.out = 1, 1
			if b := t.Source.DType.Bits(); b%8 == 0 {
				g.in, g.out = b/8, b/8
			}
		}
		g.elements = t.Source.Bytes() / g.in
		g.step = slab / max(g.in, g.out)
		g.chunks = int(ceilDiv(g.elements, g.step))
	}
	return g
}

// wide reports whether chunks are not contiguous in the output.
func (g *geometry) wide() bool { return !g.linear && g.stepCols < g.cols }

// span is the part of a tensor that a chunk covers.
type span struct {
	first, n               int64 // linear: elements
	row, col, rows, cols   int64 // matrix
	tileRow, tileCol       int64
	gridTileRows, tileCols int64
}

// span returns chunk k's part.
func (g *geometry) span(k int) span {
	if g.linear {
		first := int64(k) * g.step
		return span{first: first, n: min(g.step, g.elements-first)}
	}
	across := ceilDiv(g.cols, g.stepCols)
	s := span{row: int64(k) / across * g.stepRows, col: int64(k) % across * g.stepCols}
	s.rows, s.cols = min(g.stepRows, g.rows-s.row), min(g.stepCols, g.cols-s.col)
	s.tileRow, s.tileCol = s.row/fp8.Tile, s.col/fp8.Tile
	s.gridTileRows, s.tileCols = ceilDiv(s.rows, fp8.Tile), ceilDiv(s.cols, fp8.Tile)
	return s
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
