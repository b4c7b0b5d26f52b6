package gpu

import (
	"quern/gemm"
	"quern/gpu/kernels"
)

// Mul keeps as many rows of x on the device as fit into the arena, and sends the
// weights past them, some outputs at a time.
func (a *accelerator) Mul(y []float32, ldy int, x []float32, ldx, rows int, w *gemm.Weight) *Pending {
	if err := checkMul(y, ldy, x, ldx, rows, w); err != nil {
		return done(err)
	}
	if rows == 0 || w.Out == 0 || w.In == 0 || !plain(w) {
		return CPU().Mul(y, ldy, x, ldx, rows, w)
	}
	depth := roundUp(w.In, kernels.GemmDepth)
	// So many rows that a block of outputs fits beside them: weights go past all of
	// them at once.
	most := min(rows, max(a.chunk/(4*kernels.GemmOuts), 1), int(a.arena.limit/int64(4*depth)))
	if most == 0 || depth*4 > a.chunk {
		return CPU().Mul(y, ldy, x, ldx, rows, w)
	}
	g := gridOf(w)
	parts := cut(w.Out, w.In, 1, w.In, kernels.GemmDepth, func(stride int) int {
		scales := stride/g.TileCols + 2
		return min(a.chunk/(stride*w.Format.Size()), a.chunk/(4*most), a.small/(4*scales))
	})
	if parts == nil {
		return CPU().Mul(y, ldy, x, ldx, rows, w)
	}
	return a.call(func(j *job) {
		for at := 0; at < rows && j.failed() == nil; at += most {
			n := min(most, rows-at)
			a.mulRows(j, y[at*ldy:], ldy, x[at*ldx:], ldx, n, depth, w, parts)
		}
	})
}

// mulRows multiplies rows that fit on the device.
func (a *accelerator) mulRows(j *job, y []float32, ldy int, x []float32, ldx, rows, depth int, w *gemm.Weight, parts []part) {
	xs, err := a.arena.take(4 * rows * depth)
	if err != nil {
		j.fail(a.blame(err))
		return
	}
	weights := &job{a: a} // a part of j: when it is done, the operand is free
	if err := a.sendOperand(xs, x, ldx, rows, depth, w.In); err != nil {
		j.fail(err)
		a.arena.give(xs)
		return
	}
	for _, p := range parts {
		if !weights.piece(func(s *slot) (func(), error) {
			if err := a.upload(s, w.Data, p, stride(w), w.Format.Size()); err != nil {
				return nil, err
			}
			var scales sent
			if w.Format == gemm.E4M3 {
				var err error
				if scales, err = s.sendGrid(gridOf(w), p); err != nil {
					return nil, err
				}
			}
			k := [...]*kernels.Kernel{
				gemm.F32: kernels.Gemm.F32, gemm.BF16: kernels.Gemm.BF16, gemm.F16: kernels.Gemm.F16, gemm.E4M3: kernels.Gemm.E4M3,
			}[w.Format]
			groups := ceilDiv(p.rows, kernels.GemmOuts) * ceilDiv(rows, kernels.GemmRows)
			if err := s.launch(k, groups, buffers(xs.Buffer, s.src, s.dst, s.small[0], s.small[1]),
				rows, p.rows, depth, scales.cols, max(scales.tileCols, 1), scales.col0); err != nil {
				return nil, err
			}
			host, err := s.host(&s.out, 4*rows*p.rows)
			if err != nil {
				return nil, err
			}
			return func() {
				for r := range rows {
					copy(bytesOf(y[r*ldy+p.row:][:p.rows]), host[4*r*p.rows:])
				}
			}, s.queue.Read(host, s.dst)
		}) {
			break
		}
	}
	j.under.Add(1)
	go func() {
		defer j.under.Done()
		if err := weights.wait(); err != nil {
			j.fail(err)
		}
		a.arena.give(xs)
	}()
}

// sendOperand sends rows of x, padded to depth, and waits until they are there.
func (a *accelerator) sendOperand(to operand, x []float32, ldx, rows, depth, width int) error {
	j := &job{a: a}
	step := a.chunk / (4 * depth)
	for at := 0; at < rows; at += step {
		n := min(step, rows-at)
		if !j.piece(func(s *slot) (func(), error) {
			host, err := s.host(&s.in, 4*n*depth)
			if err != nil {
				return nil, err
			}
			for r := range n {
				line := host[4*r*depth:][:4*depth]
				clear(line[copy(line, bytesOf(x[(at+r)*ldx:][:width])):])
			}
			return nil, s.queue.Write(to.Buffer, 4*at*depth, host)
		}) {
			break
		}
	}
	return j.wait()
}
