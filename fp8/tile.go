package fp8

import "sync"

// tile is a view of one source tile and of where its codes go.
type tile struct {
	src        []byte // from the tile's first element on
	elem       Elem
	stride     int // of src, in elements
	rows, cols int // at most Tile
	codes      []byte
	codeStride int // in bytes

	weights *[Tile]float32 // of the columns, normalized, for the search; nil where all are 1
}

// tile is the tile of row i and column j of the grid of m, whose codes are given.
func (m *Matrix) tile(i, j int, codes []byte, codeStride int) tile {
	part := m.Tile(i, j)
	return tile{
		src: part.Data, elem: m.Elem, stride: m.Stride, rows: part.Rows, cols: part.Cols,
		codes: codes[i*Tile*codeStride+j*Tile:], codeStride: codeStride,
	}
}

// columnWeights returns the weights of the columns. Multiplying by 1 changes
// nothing.
func (t *tile) columnWeights() *[Tile]float32 {
	if t.weights == nil {
		return &ones
	}
	return t.weights
}

// sums is what encoding a tile counts and adds up.
type sums struct {
	sumSq, sumErr, maxErr      float32
	saturated, subnormal, zero uint32
}

// count counts the code of the weight w.
func (u *sums) count(code uint8, w, y float32) {
	switch m := code & 0x7f; {
	case abs(y) > e4m3Saturates:
		u.saturated++
	case m == 0 && w != 0:
		u.zero++
	case m != 0 && m <= e4m3MaxSubnormal:
		u.subnormal++
	}
}

// path is one implementation of the kernels. All paths give the same bits.
type path struct {
	name string

	// prunes says that searches take the candidates that histograms leave over.
	prunes bool

	// bind readies the kernels for one tile: it picks those for its element type,
	// copies a ragged tile into padded scratch memory where they want full ones.
	bind func(ws *workspace, t tile) tileKernels

	decode      func(dst []float32, src []byte, e Elem)              // Elem.Decode
	widen       func(dst, src []byte, e Elem)                        // CastF32, lengths checked
	decodeE4M3  func(dst []byte, elem Elem, codes []byte, s float32) // one run of codes with one scale
	nonFinite   func(data []byte, e Elem) bool                       // whether any element is NaN or infinite
	nanCodes    func(codes []byte) bool                              // whether any code is NaN
	castF32BF16 func(dst, src []byte) int                            // elements done before the first run with one that does not stay finite
}

// tileKernels do the work on one tile.
type tileKernels interface {
	// amax returns the largest magnitude; finite is false where a weight is NaN
	// or infinite.
	amax() (amax float32, finite bool)
	// cost returns factor·Σ(y−q)²·u for scale s, where u are the tile's weights, or
	// anything that is not below least once it is clear that the result is not.
	cost(s, factor, least float32) float32
	// encode writes the codes and returns the statistics for scale s. beyond says
	// that s is so small that |y| may exceed 448 by more than a rounding.
	encode(s float32, beyond bool) sums
}

// quantizeTile is the rule of [Quantize] for one tile, the same for all paths.
func quantizeTile(p *path, ws *workspace, t tile, o Options) TileStats {
	k := p.bind(ws, t)
	amax, finite := k.amax()
	if !finite {
		return TileStats{NonFinite: true}
	}
	absmax := scaleOf(amax, o.ScaleFormat)
	s := absmax
	if o.Search != SearchNone && amax != 0 {
		tried := candidates(o.ScaleFormat)
		if p.prunes {
			tried = ws.histogram.prune(&t, amax, absmax, tried)
		}
		s = searchScale(absmax, tried, k.cost)
	}
	return k.encode(s, s < absmax).stats(s, amax)
}

// stats is what is reported of a tile with the scale s whose largest weight is amax.
func (u sums) stats(s, amax float32) TileStats {
	return TileStats{
		Scale:     s,
		SumSq:     u.sumSq,
		SumErr:    u.sumErr,
		MaxErr:    u.maxErr,
		Saturated: u.saturated,
		Subnormal: u.subnormal,
		Zero:      u.zero,
		ZeroTile:  amax == 0,
	}
}

// workspace is the scratch memory of one call of Quantize.
type workspace struct {
	f32       [Tile * Tile]float32 // a tile as float32
	weights   [Tile]float32        // of a tile's columns, normalized
	histogram histogram
	generic   genericTile
	table     tableTile
	arch      archTile
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

func getWorkspace() *workspace { return workspaces.Get().(*workspace) }

// putWorkspace gives ws back. It must not keep the caller's memory alive.
func putWorkspace(ws *workspace) {
	ws.generic.tile = tile{}
	ws.table.tile = tile{}
	ws.arch.release()
	workspaces.Put(ws)
}
