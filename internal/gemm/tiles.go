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
	first  *byte
	stride uintptr
	rows   int
	bytes  int
}

// run computes the tiles, all of about the same height. If there are several, each
// fetches its share of the next panel's weights into the second-level cache first.
func (t *tiles) run(c []float32, ldc int) {
	n := (t.rows + t.p.mr - 1) / t.p.mr
	m, fetched := 0, 0
	for i := range n {
		if n > 2 {
			if end := (i + 1) * t.next.rows / n; end > fetched {
				t.p.prefetch((*byte)(unsafe.Add(unsafe.Pointer(t.next.first), uintptr(fetched)*t.next.stride)), t.next.stride, end-fetched, t.next.bytes)
				fetched = end
			}
		}
		end := (i + 1) * t.rows / n
		t.kernel(c[m*ldc:], ldc, t.a[m*t.lda:], t.lda, t.b, t.ldb, t.k, end-m, t.cols, t.mode)
		m = end
	}
}
