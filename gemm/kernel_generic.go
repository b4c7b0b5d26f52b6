package gemm

// genericPath is the reference, in plain Go.
var genericPath = path{
	name:   "generic",
	mr:     4,
	nr:     8,
	kernel: tileGeneric,
	pack:   packGeneric,
	direct: func(int) bool { return true },
	few:    fewGeneric,
}

func tileGeneric(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, rows, cols int, m mode, _ fetch) {
	var acc [8]float32
	for r := range rows {
		row, sum := c[r*ldc:][:cols], acc[:cols]
		clear(sum)
		if m&resume != 0 {
			copy(sum, row)
		}
		for i, x := range a[r*lda:][:k] {
			w := b[i*ldb:][:cols]
			if m&flushToZero != 0 {
				for n := range sum {
					sum[n] = fmaFlush(x, w[n], sum[n])
				}
				continue
			}
			x := float64(x)
			for n := range sum { // fma, of which the usual part is inlined
				p, c := x*float64(w[n]), float64(sum[n])
				s := p + c
				if doubtful(s) {
					s = toOdd(p, c, s)
				}
				sum[n] = float32(s)
			}
		}
		if m&add != 0 {
			for n := range sum {
				sum[n] += row[n]
			}
		}
		copy(row, sum)
	}
}

func packGeneric(dst []float32, ws *workspace, w *Weight, n0, cols, k0, k int) {
	nr := ws.p.nr
	if w.Transposed {
		_, _, stride := w.shape()
		for i := range k {
			w.decode(dst[i*nr:][:cols], (k0+i)*stride+n0)
		}
		return
	}
	row := ws.decoded.take(k)
	for j := range cols {
		w.decodeRow(row, n0+j, k0)
		for i, x := range row {
			dst[i*nr+j] = x
		}
	}
}
