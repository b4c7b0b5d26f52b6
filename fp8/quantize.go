package fp8

import (
	"errors"
	"fmt"
)

// Tile is the edge of a tile in rows and columns.
const Tile = 128

// ScaleFormat says which scales are allowed.
type ScaleFormat uint8

const (
	ScaleFloat ScaleFormat = iota // any float32 ≥ 2⁻¹²⁶
	ScaleUE8M0                    // powers of two ≥ 2⁻¹²⁶
)

// Search says how a tile's scale is chosen.
type Search uint8

const (
	SearchNone     Search = iota // amax/448
	SearchMSE                    // of a few candidates around amax/448 the one with the least squared error
	SearchWeighted               // the same with each square times the weight of its column
)

// Options are the choices that change bytes. The zero value is DeepSeek's
// recipe: float scales, amax/448.
type Options struct {
	ScaleFormat ScaleFormat
	Search      Search

	// Weights, for SearchWeighted only, are the importance of the columns, one for
	// each column of the matrix: the mean square of the activations of that input
	// channel. They are finite and ≥ 0, in any unit: only their ratios within 128
	// columns count, so a matrix that is quantized in parts, cut at multiples of
	// 128, gets the same bits. None, or only zeros in a tile, means SearchMSE.
	Weights []float32
}

// Matrix is a view of a source matrix.
type Matrix struct {
	Data   []byte // little-endian, row-major; may end right after the last element of the last row
	Elem   Elem
	Rows   int
	Cols   int
	Stride int // distance of two rows in elements, at least Cols
}

// Tile is the part of m that the tile of row i and column j of its grid covers.
func (m Matrix) Tile(i, j int) Matrix {
	r, c := i*Tile, j*Tile
	m.Data = m.Data[(r*m.Stride+c)*m.Elem.Size():]
	m.Rows, m.Cols = min(Tile, m.Rows-r), min(Tile, m.Cols-c)
	return m
}

// Quantize quantizes m tile by tile.
//
// Row r of the codes is codes[r*codeStride:][:m.Cols], so codeStride is in bytes
// and at least m.Cols; bytes between the rows are left alone. tiles gets
// ⌈Rows/128⌉×⌈Cols/128⌉ entries in row-major order; tiles at the right and lower
// edge are smaller where m is ragged.
//
// Weights that are not finite are reported in TileStats.NonFinite, not as an
// error: only the caller can name the tensor. The error says which argument does
// not fit; nothing has been written then.
//
// The scale of a tile is s = amax/448 in float32, at least 2⁻¹²⁶; 1 where all
// weights are zero; with ScaleUE8M0 the power of two at or above that quotient.
// The code of w is E4M3FromFloat32(w/s) with a correctly rounded float32
// division. F64 is rounded to float32 first; one that overflows is not finite.
// Other scales come from a search, which the package comment defines.
//
// Quantize may be called from many goroutines at once.
func Quantize(codes []byte, codeStride int, tiles []TileStats, m Matrix, o Options) error {
	tileRows, tileCols, err := checkQuantize(codes, codeStride, tiles, m, o)
	if err != nil || tileRows*tileCols == 0 {
		return err
	}
	k := current.Load()
	ws := getWorkspace()
	defer putWorkspace(ws)
	for i := range tileRows {
		for j := range tileCols {
			t := m.tile(i, j, codes, codeStride)
			if o.Search == SearchWeighted && len(o.Weights) != 0 {
				NormalizeWeights(ws.weights[:], o.Weights[j*Tile:][:t.cols]) // others meet zeros only
				t.weights = &ws.weights
			}
			tiles[i*tileCols+j] = quantizeTile(k, ws, t, o)
		}
	}
	return nil
}

// checkQuantize returns the shape of the tile grid, or why the arguments of
// Quantize do not fit.
func checkQuantize(codes []byte, codeStride int, tiles []TileStats, m Matrix, o Options) (rows, cols int, err error) {
	if o.ScaleFormat > ScaleUE8M0 {
		return 0, 0, fmt.Errorf("quantizing: scale format %d is unknown", o.ScaleFormat)
	}
	if o.Search > SearchWeighted {
		return 0, 0, fmt.Errorf("quantizing: search %d is unknown", o.Search)
	}
	if o.Search == SearchWeighted {
		if err := checkWeights(o.Weights, m.Cols); err != nil {
			return 0, 0, fmt.Errorf("quantizing: %w", err)
		}
	}
	if m.Elem.Size() == 0 {
		return 0, 0, fmt.Errorf("quantizing: element type %v is unknown", m.Elem)
	}
	if err := CheckRows("source", len(m.Data)/m.Elem.Size(), m.Stride, m.Rows, m.Cols); err != nil {
		return 0, 0, fmt.Errorf("quantizing: %w", err)
	}
	if err := CheckRows("codes", len(codes), codeStride, m.Rows, m.Cols); err != nil {
		return 0, 0, fmt.Errorf("quantizing: %w", err)
	}
	rows, cols = tilesOf(m.Rows), tilesOf(m.Cols)
	if len(tiles) != rows*cols {
		return 0, 0, fmt.Errorf("quantizing: %d tile entries for a grid of %d×%d", len(tiles), rows, cols)
	}
	return rows, cols, nil
}

// tilesOf returns how many tiles cover n rows or columns.
func tilesOf(n int) int { return n/Tile + (n%Tile+Tile-1)/Tile }

// errShape is returned for negative shapes.
var errShape = errors.New("negative shape")

// CheckRows says whether rows×cols elements, stride apart, lie within n, without
// overflowing.
func CheckRows(what string, n, stride, rows, cols int) error {
	switch {
	case rows < 0 || cols < 0:
		return fmt.Errorf("%s: %w %d×%d", what, errShape, rows, cols)
	case rows == 0 || cols == 0:
		return nil
	case stride < cols:
		return fmt.Errorf("%s: stride %d is less than %d columns", what, stride, cols)
	case n < cols || (n-cols)/stride < rows-1:
		return fmt.Errorf("%s: %d elements hold no %d rows of stride %d and %d columns", what, n, rows, stride, cols)
	}
	return nil
}
