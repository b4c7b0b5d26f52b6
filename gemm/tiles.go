package gemm

import "unsafe"

// tiles is the product of a block of x with one panel.
type tiles struct {
	p      *path
	kernel kernel
	a      []float32
	lda    int
	b      []float32
	ldb    int

	k, rows, cols int
	mode          mode

	next source // of the panel that comes next
}

// source is where the weights of a panel lie: rows of so many bytes.
type source struct {
	first       *byte
	stride      uintptr
	rows, bytes int
}

// run computes the tiles, all of about the same height. Each fetches its share of
// the next panel's weights.
func (t *tiles) run(c []float32, ldc int) {
	const line = 64
	n := (t.rows + t.p.mr - 1) / t.p.mr
	lines := (t.next.bytes + line - 1) / line
	m, row := 0, 0
	for i := range n {
		var f fetch
		if end := (i + 1) * t.next.rows / n; end > row {
			f = fetch{
				first: (*byte)(unsafe.Add(unsafe.Pointer(t.next.first), uintptr(row)*t.next.stride)),
				rows:  end - row,
				lines: lines,
				skip:  t.next.stride - uintptr(lines)*line,
			}
			row = end
		}
		end := (i + 1) * t.rows / n
		t.kernel(c[m*ldc:], ldc, t.a[m*t.lda:], t.lda, t.b, t.ldb, t.k, end-m, t.cols, t.mode, f)
		m = end
	}
}
