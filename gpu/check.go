package gpu

import (
	"fmt"

	"quern/fp8"
)

// checkTiles returns the shape of m's grid of tiles, or why m, o and the n entries
// of what do not fit.
func checkTiles(what string, n int, m fp8.Matrix, o fp8.Options) (rows, cols int, err error) {
	// Package fp8 judges the options; it looks at them before it finds nothing to do.
	if err := fp8.Quantize(nil, m.Cols, nil, fp8.Matrix{Elem: m.Elem, Cols: m.Cols}, o); err != nil {
		return 0, 0, err
	}
	if !fits(len(m.Data)/m.Elem.Size(), m.Stride, m.Rows, m.Cols) {
		return 0, 0, fmt.Errorf("quantizing: source: %d bytes of %v hold no %d rows of %d, %d apart", len(m.Data), m.Elem, m.Rows, m.Cols, m.Stride)
	}
	rows, cols = ceilDiv(m.Rows, fp8.Tile), ceilDiv(m.Cols, fp8.Tile)
	if n != rows*cols {
		return 0, 0, fmt.Errorf("quantizing: %s: %d entries for a grid of %d×%d", what, n, rows, cols)
	}
	return rows, cols, nil
}

// fits reports whether rows×width elements, ld apart, lie within n elements,
// without overflowing.
func fits(n, ld, rows, width int) bool {
	switch {
	case rows < 0 || width < 0:
		return false
	case rows == 0 || width == 0:
		return true
	}
	return ld >= width && n >= width && (n-width)/ld >= rows-1
}

// checkGrid says why g has no scale for each of rows×cols codes.
func checkGrid(g *fp8.Grid, rows, cols int) error {
	switch {
	case rows == 0 || cols == 0:
		return nil
	case g.TileRows <= 0 || g.TileCols <= 0 || g.Row0 < 0 || g.Col0 < 0:
		return fmt.Errorf("scales: tiles of %d×%d for a chunk at row %d, column %d", g.TileRows, g.TileCols, g.Row0, g.Col0)
	case g.Rows <= 0 || g.Cols <= 0 || len(g.Scales)/g.Cols < g.Rows:
		return fmt.Errorf("scales: %d numbers for a grid of %d×%d", len(g.Scales), g.Rows, g.Cols)
	case (g.Col0+cols-1)/g.TileCols >= g.Cols:
		return fmt.Errorf("scales: column %d lies outside a grid of %d×%d", g.Col0+cols-1, g.Rows, g.Cols)
	}
	for r := range rows {
		if i := gridRow(g, r); i < 0 || i >= g.Rows {
			return fmt.Errorf("scales: row %d lies outside a grid of %d×%d", g.Row0+r, g.Rows, g.Cols)
		}
	}
	return nil
}

// gridRow returns the row of scales that belongs to row r of a chunk.
func gridRow(g *fp8.Grid, r int) int {
	if g.RowOf != nil {
		return g.RowOf(g.Row0 + r)
	}
	return (g.Row0 + r) / g.TileRows
}

// ceilDiv returns a/b, rounded up, for a ≥ 0.
func ceilDiv(a, b int) int { return a/b + (a%b+b-1)/b }

// roundUp returns the least multiple of b that is not below a.
func roundUp(a, b int) int { return ceilDiv(a, b) * b }
