package engine

import (
	"slices"

	"quern/convert/plan"
	"quern/scheme"
)

// geometry says how a tensor is cut into chunks. Linear operations cut
// anywhere between elements; matrix operations cut between rows, as their schemes
// ask, and, when the fewest rows do not fit a slab, between columns too, where the
// schemes allow it. In that case chunks are not contiguous in the output and its
// digest is taken afterwards.
type geometry struct {
	linear   bool
	elements int64 // linear: of the tensor
	step     int64 // linear: elements a chunk
	in, out  int64 // linear: bytes an element

	rows, cols int64 // matrix
	stepRows   int64
	stepCols   int64
	grain      scheme.Grain
	sources    []scheme.Output // how what is read lies over the matrix: Source, then the scales of other codes
	outputs    []scheme.Output // how what is written does
	floats     bool            // there is a float32 form in between

	chunks int
}

// cut chooses the chunks of t for slabs of the given size.
func cut(t *plan.Tensor, mem memory) geometry {
	slab := int64(mem.slab)
	if g, ok := matrixOf(t); ok {
		g.cut(slab)
		return g
	}
	g := geometry{in: t.Source.DType.Bits() / 8, out: t.DType.Bits() / 8}
	if t.Op == plan.Constant { // made without chunks
		return g
	}
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
	return g
}

// matrixOf is the geometry of a matrix operation before it is cut; ok is false for
// others.
func matrixOf(t *plan.Tensor) (g geometry, ok bool) {
	if !t.Op.Quantizes() && t.Op != plan.Dequantize {
		return g, false
	}
	r := t.Reading()
	g = reading(&r)
	if t.Op == plan.Dequantize {
		g.outputs = []scheme.Output{plainOutput(t.DType.Bits())}
		return g, true
	}
	g.floats = t.Op == plan.Requantize || t.Op == plan.Recast
	s, err := scheme.Find(t.Quant.Scheme)
	if err != nil || g.rows == 0 || g.cols == 0 {
		return g, true // Validate has found it; or there is nothing to cut
	}
	g.outputs = s.Outputs(t.Quant.Params, g.rows, g.cols)
	g.grain = common(g.grain, s.Grain)
	return g, true
}

// reading is the geometry of a matrix that is only read.
func reading(r *plan.Reading) geometry {
	g := geometry{grain: scheme.Grain{Rows: 1, Cols: 1}} // of numbers: what is made of them asks for more
	if r.Grid != nil {
		g.grain = scheme.BlockFP8.Grain
	}
	g.rows, g.cols = r.Matrix()
	g.sources = []scheme.Output{plainOutput(r.Source.DType.Bits())}
	if r.Written != nil {
		if s, err := scheme.Find(r.Written.Scheme); err == nil {
			g.sources, g.grain = s.Outputs(r.Written.Params, g.rows, g.cols), s.Grain
		}
	}
	return g
}

// plainOutput is a matrix of elements.
func plainOutput(bits int64) scheme.Output {
	return scheme.Output{TileRows: 1, TileCols: 1, Bits: bits}
}

// common is the grain that serves two schemes. All are powers of two, or whole rows.
func common(a, b scheme.Grain) scheme.Grain {
	g := scheme.Grain{Rows: max(a.Rows, b.Rows), Cols: max(a.Cols, b.Cols)}
	if a.Cols == 0 || b.Cols == 0 {
		g.Cols = 0
	}
	return g
}

// need is how large a slab has to be for a part.
func (g *geometry) need(rows, cols int64) int64 {
	p := scheme.Part{Rows: rows, Cols: cols}
	in, out := int64(0), int64(0)
	for i := range g.sources {
		in += g.sources[i].Size(p)
	}
	for i := range g.outputs {
		out += g.outputs[i].Size(p)
	}
	if g.floats {
		out = max(out, 4*rows*cols)
	}
	return max(in, out)
}

// least is how large a slab has to be for the fewest rows that are not cut; 0 where
// rows may be cut.
func (g *geometry) least() int64 {
	if g.grain.Cols != 0 {
		return 0
	}
	return g.need(min(g.grain.Rows, g.rows), g.cols)
}

// cut cuts a matrix for slabs that hold least.
func (g *geometry) cut(slab int64) {
	g.stepCols = g.cols
	if g.rows == 0 || g.cols == 0 {
		return
	}
	grain := g.need(g.grain.Rows, g.cols)
	g.stepRows = slab / grain * g.grain.Rows
	if g.grain.Cols == 0 { // statistics are kept a row until their turn
		g.stepRows = min(g.stepRows, mostRows)
	}
	if g.stepRows == 0 {
		g.stepRows = g.grain.Rows
		if g.grain.Cols != 0 {
			n := ceilDiv(grain, slab) // as few and as equal parts as fit
			g.stepCols = ceilDiv(ceilDiv(g.cols, n), g.grain.Cols) * g.grain.Cols
			if g.need(g.stepRows, g.stepCols) > slab {
				g.stepCols -= g.grain.Cols
			}
		}
	}
	g.chunks = int(ceilDiv(g.rows, g.stepRows) * ceilDiv(g.cols, g.stepCols))
}

// mostRows bounds what the statistics of a chunk of narrow rows take: 200 bytes a row.
const mostRows = 1 << 14

// wide reports whether chunks are not contiguous in the output.
func (g *geometry) wide() bool {
	return !g.linear && (g.stepCols < g.cols || slices.ContainsFunc(g.outputs, func(o scheme.Output) bool { return o.Across > 0 }))
}

// span is the part of a tensor that a chunk covers.
type span struct {
	first, n    int64 // linear: elements
	scheme.Part       // matrix
}

// span returns chunk k's part.
func (g *geometry) span(k int) span {
	if g.linear {
		first := int64(k) * g.step
		return span{first: first, n: min(g.step, g.elements-first)}
	}
	across := ceilDiv(g.cols, g.stepCols)
	p := scheme.Part{Row: int64(k) / across * g.stepRows, Col: int64(k) % across * g.stepCols}
	p.Rows, p.Cols = min(g.stepRows, g.rows-p.Row), min(g.stepCols, g.cols-p.Col)
	return span{Part: p}
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
