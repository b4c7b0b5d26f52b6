package runner

import "quern/gemm"

// rowsOf multiplies by n rows of a matrix from row first on.
func (p *pass) rowsOf(y, x []float32, rows int, m *matrix, first, n int) {
	if p.weights.coded(m) == nil {
		if part, ok := cut(p.weights.matrix(m), first, n); ok {
			p.multiplyBy(y, x, rows, m, &part)
			return
		}
	}
	// A form whose rows do not lie apart: all of them are computed.
	mark := p.arena.mark()
	defer p.arena.release(mark)
	all := p.arena.floats(rows * m.out)
	p.multiply(all, x, rows, m)
	for r := range rows {
		copy(y[r*n:][:n], all[r*m.out+first:])
	}
}

// cut is n rows of a weight from row first on, in the same memory.
func cut(w *gemm.Weight, first, n int) (gemm.Weight, bool) {
	var size int
	switch w.Format {
	case gemm.F32, gemm.BF16, gemm.F16, gemm.E4M3:
		size = bytesOf(w.Format)
	}
	if size == 0 || w.Transposed || w.Stride != 0 || len(w.Data) != w.Out*w.In*size {
		return gemm.Weight{}, false
	}
	part := *w
	part.Data, part.Out = w.Data[first*w.In*size:][:n*w.In*size], n
	if w.Scales == nil {
		return part, true
	}
	cols := (w.In + w.TileIn - 1) / w.TileIn
	if first%w.TileOut == 0 {
		part.Scales = w.Scales[first/w.TileOut*cols : (first+n+w.TileOut-1)/w.TileOut*cols]
		return part, true
	}
	// Rows from within a tile have scales of their own.
	part.TileOut, part.Scales = 1, make([]float32, 0, n*cols)
	for r := first; r < first+n; r++ {
		part.Scales = append(part.Scales, w.Scales[r/w.TileOut*cols:][:cols]...)
	}
	return part, true
}

// cutter is a weight that is stored by rows.
type cutter struct{ w *gemm.Weight }

// part are n rows from row first on.
func (c *cutter) part(first, n int) gemm.Weight {
	part, ok := cut(c.w, first, n)
	if !ok {
		panic("runner: attention's weights are stored by columns")
	}
	return part
}
