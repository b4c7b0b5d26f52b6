package verify

import (
	"context"
	"fmt"

	"quern/fp8"
)

// measureIdeal quantizes the baseline by 128×128 tiles scaled by their absolute
// maximum, which is what the tensor could have been, and keeps the ratio. It reads
// the baseline once more, which only tensors with a low ratio cost, of which no
// fresh quantization has told the same.
func (c *errorCheck) measureIdeal(ctx context.Context, w *worker) error {
	rows, cols := c.codes.rows, c.codes.cols
	height := c.codes.weight.Shape[len(c.codes.weight.Shape)-2] // of each expert where they are fused
	per := c.base.size()
	if c.base.scaled != nil {
		per = 4 // codes become float32 first
	}
	stepRows, stepCols := pieceBytes/per/cols/fp8.Tile*fp8.Tile, cols
	if stepRows == 0 { // not even one row of tiles fits: cut between columns too
		stepRows, stepCols = fp8.Tile, pieceBytes/per/fp8.Tile/fp8.Tile*fp8.Tile
	}
	w.codes = grown(w.codes, pieceBytes/2) // elements have two bytes at least
	o := fp8.Options{}
	if c.ue8m0 {
		o.ScaleFormat = fp8.ScaleUE8M0
	}
	var stats fp8.Stats
	for r, n := int64(0), int64(0); r < rows; r += n {
		n = min(stepRows, height-r%height)
		for k := int64(0); k < cols; k += stepCols {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			m, err := c.matrix(w, r, k, n, min(stepCols, cols-k))
			if err != nil {
				return err
			}
			count := ceilDiv(m.Rows, fp8.Tile) * ceilDiv(m.Cols, fp8.Tile)
			w.tiles = grown(w.tiles, int64(count))
			tiles := w.tiles[:count]
			if err := fp8.Quantize(w.codes, m.Cols, tiles, m, o); err != nil {
				return fmt.Errorf("tensor %q: %w", c.codes.weight.Name, err)
			}
			for i := range tiles {
				if tiles[i].NonFinite {
					return nil // no ideal: the gate fails in any case
				}
				stats.Add(tiles[i])
			}
		}
	}
	if db, exact := stats.SQNR(); !exact {
		c.ideal = &db
	}
	return nil
}

// matrix reads a part of the baseline's matrix.
func (c *errorCheck) matrix(w *worker, row, col, rows, cols int64) (fp8.Matrix, error) {
	m := fp8.Matrix{Data: w.other, Elem: c.base.elem, Rows: int(rows), Cols: int(cols), Stride: int(cols)}
	if c.base.scaled != nil {
		m.Elem = fp8.ElemF32
	}
	size := int64(m.Elem.Size())
	all := c.codes.cols
	run, runs := cols, rows // elements that lie together, and how often
	if cols == all {
		run, runs = rows*cols, 1
	}
	for i := range runs {
		first, to := (row+i)*all+col, w.other[i*run*size:]
		if c.base.scaled == nil {
			if _, _, err := c.base.load(to, first, run); err != nil {
				return m, err
			}
			continue
		}
		raw, p, err := c.base.load(w.buf, first, run)
		if err != nil {
			return m, err
		}
		if err := c.base.scaled.decode(to, fp8.ElemF32, raw, first, p); err != nil {
			return m, err
		}
	}
	return m, nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
