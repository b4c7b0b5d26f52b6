package fp8

import (
	"fmt"
	"math"
)

// Grid says which scale belongs to which code of a matrix: a row-major grid of
// scales, each for TileRows×TileCols codes. It covers block scales (128×128), one
// scale a row (TileRows 1, TileCols ≥ the width) and one scale a tensor alike.
type Grid struct {
	Scales     []float32 // Rows×Cols
	Rows, Cols int       // shape of the grid

	TileRows, TileCols int // codes of one scale, both > 0

	// RowOf maps a row of the matrix to a row of the grid, for tensors whose tiles
	// do not begin at multiples of TileRows. If nil, row r belongs to r/TileRows.
	RowOf func(r int) int

	Row0, Col0 int // where in the matrix the chunk that is dequantized begins
}

// Dequantize writes q·s for a chunk of rows×cols E4M3 codes as elements of type
// elem, ElemBF16 or ElemF32.
//
// Row r of the codes is codes[r*codeStride:][:cols]; row r of dst starts at
// element r*dstStride. Both strides are at least cols (codeStride in bytes,
// dstStride in elements); what lies between the rows is left alone.
//
// The product is rounded to float32 first and from there to BF16: two roundings,
// because that is what PyTorch does and the results are to equal its. A NaN code
// gives NaN (0x7FC0 with its sign, whatever the scale). The error says which
// argument does not fit, or which row has no scale.
func Dequantize(dst []byte, dstStride int, elem Elem, codes []byte, codeStride, rows, cols int, g Grid) error {
	if elem != ElemBF16 && elem != ElemF32 {
		return fmt.Errorf("dequantizing: no conversion to %v", elem)
	}
	if err := CheckRows("codes", len(codes), codeStride, rows, cols); err != nil {
		return fmt.Errorf("dequantizing: %w", err)
	}
	if err := CheckRows("destination", len(dst)/elem.Size(), dstStride, rows, cols); err != nil {
		return fmt.Errorf("dequantizing: %w", err)
	}
	if rows == 0 || cols == 0 {
		return nil
	}
	if err := g.check(cols); err != nil {
		return fmt.Errorf("dequantizing: %w", err)
	}
	p := current.Load()
	size := elem.Size()
	for r := range rows {
		scales, err := g.row(r)
		if err != nil {
			return fmt.Errorf("dequantizing: %w", err)
		}
		for c := 0; c < cols; {
			j := (g.Col0 + c) / g.TileCols
			end := min((j+1)*g.TileCols-g.Col0, cols)
			out := dst[(r*dstStride+c)*size : (r*dstStride+end)*size]
			in := codes[r*codeStride+c : r*codeStride+end]
			s := scales[j]
			if isNormal(s) {
				p.decodeE4M3(out, elem, in, s)
			} else { // odd scales are no kernel's business
				decodeE4M3Generic(out, elem, in, s)
			}
			c = end
		}
	}
	return nil
}

// check says whether the grid is sound and has a scale for every column of the
// chunk.
func (g *Grid) check(cols int) error {
	switch {
	case g.TileRows <= 0 || g.TileCols <= 0:
		return fmt.Errorf("scales: tiles of %d×%d", g.TileRows, g.TileCols)
	case g.Row0 < 0 || g.Col0 < 0:
		return fmt.Errorf("scales: chunk at row %d, column %d", g.Row0, g.Col0)
	case g.Rows <= 0 || g.Cols <= 0 || len(g.Scales)/g.Cols < g.Rows:
		return fmt.Errorf("scales: %d numbers for a grid of %d×%d", len(g.Scales), g.Rows, g.Cols)
	case (g.Col0+cols-1)/g.TileCols >= g.Cols:
		return fmt.Errorf("scales: column %d lies outside a grid of %d×%d", g.Col0+cols-1, g.Rows, g.Cols)
	}
	return nil
}

// row returns the scales of row r of the chunk.
func (g *Grid) row(r int) ([]float32, error) {
	i := (g.Row0 + r) / g.TileRows
	if g.RowOf != nil {
		i = g.RowOf(g.Row0 + r)
	}
	if i < 0 || i >= g.Rows {
		return nil, fmt.Errorf("scales: row %d lies outside a grid of %d×%d", g.Row0+r, g.Rows, g.Cols)
	}
	return g.Scales[i*g.Cols:][:g.Cols], nil
}

// isNormal says whether s is neither zero, subnormal, infinite nor NaN.
func isNormal(s float32) bool {
	e := math.Float32bits(s) >> 23 & 0xff
	return e != 0 && e != 0xff
}
