package scheme

import (
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// Grid says which element of a scale tensor belongs to which element of an
// [out, in] weight: scale[row/TileRows, col/TileCols], where rows are first
// counted anew in each of Parts equal slabs (a matrix that was quantized per
// tensor-parallel part before its parts were joined: formats "MiMo").
type Grid struct {
	Rows     int64 `json:"rows"` // of the scale tensor
	Cols     int64 `json:"cols"`
	TileRows int64 `json:"tile_rows"`
	TileCols int64 `json:"tile_cols"`
	Parts    int64 `json:"parts"` // 1 but for joined matrices
}

// Row returns the scale row of weight row r of a weight with rows rows.
func (g Grid) Row(r, rows int64) int64 {
	if g.Parts <= 1 {
		return r / g.TileRows
	}
	per := rows / g.Parts
	return r/per*(g.Rows/g.Parts) + r%per/g.TileRows
}

// IsTile128 reports whether g is the layout of design §5: one scale for each
// 128×128 tile, ragged tiles at the end only.
func (g Grid) IsTile128() bool { return g.TileRows == 128 && g.TileCols == 128 && g.Parts == 1 }

// ByGrid is the scheme whose scales, of dtype d, lie so over E4M3 codes, for gates: one
// for all is TensorFP8's, one for each row ChannelFP8's, powers of two for 32 weights of
// a row MXFP8's, and whatever no scheme writes is held against BlockFP8.
func ByGrid(g Grid, d safetensors.DType) *Scheme {
	switch {
	case g.IsTile128():
		return BlockFP8
	case g.TileRows == 1 && g.TileCols == 32 && PowersOfTwo(d):
		return MXFP8
	case g.Rows == 1 && g.Cols == 1:
		return TensorFP8
	case g.TileRows == 1 && g.Cols == 1:
		return ChannelFP8
	}
	return BlockFP8
}

// GridOf recognises how scales of the given shape lie over a weight of shape
// [rows, cols]. block is the config's weight_block_size, or nil. Known are one
// scale for all, one per row or per column, tiles of block (or 128×128) also in the
// 4-D form [⌈o/128⌉,1,⌈i/128⌉,1], groups of a row ([o, i/n]), and tiles counted anew
// in each of several joined parts. [1,n] is read as broadcasting would: n columns,
// or where the weight has not as many, n rows.
func GridOf(rows, cols int64, scale []int64, block []int64) (Grid, error) {
	shape := scale
	if len(scale) == 4 && scale[1] == 1 && scale[3] == 1 {
		shape = []int64{scale[0], scale[2]}
	}
	n, err := safetensors.SizeOf(safetensors.U8, shape)
	if err != nil {
		return Grid{}, err
	}
	tr, tc := int64(128), int64(128)
	if len(block) == 2 && block[0] > 0 && block[1] > 0 {
		tr, tc = block[0], block[1]
	}
	sr, sc := ceilDiv(rows, tr), ceilDiv(cols, tc)
	switch {
	case len(shape) == 2 && shape[0] == sr && shape[1] == sc:
		return Grid{sr, sc, tr, tc, 1}, nil
	case n == 1 && len(shape) <= 2:
		return Grid{1, 1, max(rows, 1), max(cols, 1), 1}, nil
	case len(shape) == 1 && shape[0] == rows, len(shape) == 2 && shape[0] == rows && shape[1] == 1:
		return Grid{rows, 1, 1, max(cols, 1), 1}, nil
	case len(shape) == 2 && shape[0] == 1 && shape[1] == cols:
		return Grid{1, cols, max(rows, 1), 1, 1}, nil
	case len(shape) == 2 && shape[0] == 1 && shape[1] == rows:
		return Grid{rows, 1, 1, max(cols, 1), 1}, nil
	case len(shape) == 2 && shape[0] == rows && shape[1] > 0 && cols%shape[1] == 0:
		return Grid{rows, shape[1], 1, cols / shape[1], 1}, nil
	case len(shape) == 2 && shape[1] == sc && shape[0] > sr:
		var fits []int64
		for parts := int64(2); parts <= 1024 && parts <= rows; parts++ {
			if rows%parts == 0 && parts*ceilDiv(rows/parts, tr) == shape[0] {
				fits = append(fits, parts)
			}
		}
		switch len(fits) {
		case 0:
		case 1:
			return Grid{shape[0], sc, tr, tc, fits[0]}, nil
		default:
			return Grid{}, invalid.Errorf("scale shape %v over a weight of shape [%d %d] may be that of %d or of %d joined parts: the file does not say which", scale, rows, cols, fits[0], fits[1])
		}
	}
	return Grid{}, invalid.Errorf("scale shape %v fits no known layout over a weight of shape [%d %d] (tiles of %d×%d would be [%d %d])", scale, rows, cols, tr, tc, sr, sc)
}

// GridOver is [GridOf] for a weight of two dimensions or three. The matrices of fused
// experts [E, o, i] are taken as one [E·o, i], whose scales begin anew with each:
// [E, …], or one for all.
func GridOver(weight, scale, block []int64) (Grid, error) {
	switch len(weight) {
	case 2:
		return GridOf(weight[0], weight[1], scale, block)
	case 3:
		return stackedGrid(weight, scale, block)
	}
	return Grid{}, invalid.Errorf("a quantized weight of shape %v is no matrix", weight)
}

// Flat is the shape of the one matrix that a grid of [GridOver] lies over.
func Flat(shape []int64) []int64 {
	if len(shape) != 3 {
		return shape
	}
	return []int64{shape[0] * shape[1], shape[2]}
}

// stackedGrid is GridOf for the matrices of [E, rows, cols], taken as one.
func stackedGrid(weight, scale, block []int64) (Grid, error) {
	n, err := safetensors.SizeOf(safetensors.U8, scale)
	if err != nil {
		return Grid{}, err
	}
	experts, rows, cols := weight[0], weight[1], weight[2]
	if n == 1 {
		return Grid{1, 1, max(experts*rows, 1), max(cols, 1), 1}, nil
	}
	if len(scale) == 0 || scale[0] != experts {
		return Grid{}, invalid.Errorf("scale shape %v has no part for each of the %d matrices of a weight of shape %v", scale, experts, weight)
	}
	g, err := GridOf(rows, cols, scale[1:], block)
	g.Rows, g.Parts = experts*g.Rows, experts*g.Parts
	return g, err
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
