package verify

import (
	"context"
	"errors"
	"fmt"

	"quern/fp8"
	"quern/scheme"
)

// measureIdeal quantizes the baseline by the plain rule of the scheme that the
// candidate's scales show, which is what the tensor could have been, and keeps the
// ratio. It reads the baseline once more, or twice where the rule begins with the
// largest magnitude, which only tensors with a low ratio cost, of which no fresh
// quantization has told the same.
func (c *errorCheck) measureIdeal(ctx context.Context, w *worker) error {
	shape := c.codes.weight.Shape
	job := scheme.Job{Rows: shape[len(shape)-2], Cols: c.codes.cols} // of each expert where they are fused
	s := scheme.ByGrid(c.codes.grid, c.codes.scale.DType)
	if s == scheme.BlockFP8 {
		job.UE8M0 = c.ue8m0
	}
	if s.Survey {
		for _, b := range c.fresh.partners {
			most, err := b.largest(ctx)
			if err != nil {
				return err
			}
			job.Amax = max(job.Amax, most) // what is not finite has no ideal, see below
		}
	}
	var total scheme.Stats
	var coder scheme.Coder
	end := func() {
		if coder != nil {
			stats := coder.Stats()
			total.SumSq, total.SumErr = total.SumSq+stats.SumSq, total.SumErr+stats.SumErr
		}
	}
	outputs := s.Outputs(job.Params, job.Rows, job.Cols)
	outs := make([][]byte, len(outputs))
	w.codes = grown(w.codes, partBytes/2) // elements have two bytes at least
	err := c.pieces(ctx, w, s.Grain, func(p scheme.Part, m fp8.Matrix) error {
		if p.Row%job.Rows == 0 && p.Col == 0 {
			end()
			var err error
			if coder, err = s.Coder(&job); err != nil {
				return err
			}
		}
		p.Row %= job.Rows
		for n := range outs {
			if n == 0 {
				outs[n] = w.codes[:outputs[n].Size(p)]
			} else {
				outs[n] = grown(outs[n], outputs[n].Size(p))[:outputs[n].Size(p)]
			}
		}
		return coder.Code(outs, p, m)
	})
	switch {
	case errors.Is(err, scheme.ErrNonFinite):
		return nil // no ideal: the gate fails in any case
	case err != nil:
		return fmt.Errorf("tensor %q: %w", c.codes.weight.Name, err)
	}
	end()
	if db, exact := total.SQNR(); !exact {
		c.ideal = &db
	}
	return nil
}

// pieces calls fn with the baseline's matrix in parts that are multiples of a grain, the
// matrices of fused experts one after the other.
func (c *errorCheck) pieces(ctx context.Context, w *worker, g scheme.Grain, fn func(scheme.Part, fp8.Matrix) error) error {
	rows, cols := c.codes.rows, c.codes.cols
	height := c.codes.weight.Shape[len(c.codes.weight.Shape)-2]
	per := c.base.size()
	if c.base.scaled != nil {
		per = 4 // codes become float32 first
	}
	stepRows, stepCols := partBytes/per/max(cols, 1)/g.Rows*g.Rows, cols
	if stepRows == 0 { // not even the fewest rows fit: cut between columns too
		if g.Cols == 0 {
			return fmt.Errorf("a row of %d weights does not fit memory", cols)
		}
		stepRows, stepCols = g.Rows, partBytes/per/g.Rows/g.Cols*g.Cols
	}
	for r, n := int64(0), int64(0); r < rows; r += n {
		n = min(stepRows, height-r%height)
		for k := int64(0); k < cols; k += stepCols {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			p := scheme.Part{Row: r, Col: k, Rows: n, Cols: min(stepCols, cols-k)}
			m, err := c.matrix(w, p.Row, p.Col, p.Rows, p.Cols)
			if err != nil {
				return err
			}
			if err := fn(p, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// matrix reads a part of the baseline's matrix.
func (c *errorCheck) matrix(w *worker, row, col, rows, cols int64) (fp8.Matrix, error) {
	w.weights = grown(w.weights, partBytes)
	m := fp8.Matrix{Data: w.weights, Elem: c.base.elem, Rows: int(rows), Cols: int(cols), Stride: int(cols)}
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
		first, to := (row+i)*all+col, w.weights[i*run*size:]
		if c.base.scaled == nil {
			if _, _, err := c.base.load(to, first, run); err != nil {
				return m, err
			}
			continue
		}
		w.values = grown(w.values, run)
		raw, p, err := c.base.load(w.values, first, run)
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
