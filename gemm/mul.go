package gemm

// Options of a product; the zero value is the usual one.
type Options struct {
	// Workers bounds the goroutines that compute, the caller's included; 0 means
	// GOMAXPROCS. With 1 everything happens on the caller's goroutine, and so it
	// does where a product is too small to gain.
	Workers int

	// Add adds the product to what y holds instead of replacing it: one rounded
	// addition per output, after its sum is complete.
	Add bool

	// BF16 rounds weights and activations to BF16 first; see the package comment.
	// MulFew ignores it.
	BF16 bool
}

// Mul computes y[m][o] = Σ_i x[m][i]·w[o][i] for m < rows, o < w.Out, i < w.In. Row m
// of x begins at x[m·ldx], row m of y at y[m·ldy]; what lies between the rows of y
// is left alone. y must not overlap x or w.
//
// Each output is one chain of fused multiply-adds in float32, in the order
// i = 0, 1, 2, …, that begins with 0. So a row's result depends neither on the
// other rows nor on the path or the number of workers.
//
// Sizes that do not fit panic, as indexing does.
func Mul(y []float32, ldy int, x []float32, ldx int, rows int, w *Weight, o Options) {
	if !begin(y, ldy, x, ldx, rows, w, o) {
		return
	}
	j := products.Get().(*product)
	j.p = current.Load()
	j.y, j.ldy, j.x, j.ldx, j.rows = y, ldy, x, ldx, rows
	j.w, j.add, j.bf16 = *w, o.Add, o.BF16
	workers := 1
	if 2*float64(rows)*float64(w.Out)*float64(w.In) > parallelOps {
		workers = workersOf(o)
	}
	j.team.run(j, j.split(workers), workers)
}

// parallelOps is the work, in floating-point operations, above which a second
// goroutine pays for being woken.
const parallelOps = 4e6

// begin checks the sizes, does products over no inputs, and says whether anything
// is left to do.
func begin(y []float32, ldy int, x []float32, ldx int, rows int, w *Weight, o Options) bool {
	w.check()
	checkRows("y", len(y), ldy, rows, w.Out)
	checkRows("x", len(x), ldx, rows, w.In)
	if rows == 0 || w.Out == 0 {
		return false
	}
	if w.In > 0 {
		return true
	}
	for m := range rows {
		row := y[m*ldy:][:w.Out]
		for i := range row {
			if o.Add {
				row[i] += 0 // −0 becomes 0, as with any other sum
			} else {
				row[i] = 0
			}
		}
	}
	return false
}

// product is one call of Mul. Its items are blocks of y.
type product struct {
	team team

	p         *path
	y, x      []float32
	ldy, ldx  int
	rows      int
	w         Weight
	add, bf16 bool

	rowStep, colStep, colItems int
}

const (
	blockRows = 384 // of x in an item
	blockCols = 512 // of y in an item
	blockK    = 256 // inputs of a panel: with 32 columns 32 KiB, two thirds of a first-level cache

	// smallA is how many bytes of x may lie in the second-level cache besides a
	// panel: if all of an item's x does, weights are taken panel by panel from one
	// end of their rows to the other, so that each row is read in one go.
	smallA = 1 << 20

	// directRows is up to how many rows transposed float32 weights are read from
	// where they lie, once for every tile, instead of being copied to a panel.
	directRows = 24
)

// split cuts y into items for a number of workers and returns how many there are.
func (j *product) split(workers int) int {
	nr := j.p.nr
	panels := (j.w.Out + nr - 1) / nr
	j.rowStep, j.colStep = blockRows, blockCols/nr
	if workers > 1 {
		if panels >= 2*workers {
			j.colStep = min(max(panels/(4*workers), 1), j.colStep)
		} else {
			j.rowStep = min(max(j.rows/(4*workers), 2*j.p.mr), j.rowStep)
		}
	}
	rowItems := (j.rows + j.rowStep - 1) / j.rowStep
	j.rowStep = (j.rows + rowItems - 1) / rowItems
	j.colItems = (panels + j.colStep - 1) / j.colStep
	j.colStep *= nr
	return rowItems * j.colItems
}

// item computes block number i of y; blocks of the same rows follow each other.
func (j *product) item(i int, ws *workspace) {
	m0, n0 := i/j.colItems*j.rowStep, i%j.colItems*j.colStep
	m1, n1 := min(m0+j.rowStep, j.rows), min(n0+j.colStep, j.w.Out)
	step := j.colStep
	if (m1-m0)*j.w.In*4 <= smallA && !j.bf16 {
		step = j.p.nr
	}
	for ; n0 < n1; n0 += step {
		j.block(ws, m0, m1, n0, min(n0+step, n1))
	}
}

// block computes the outputs (m0…m1−1, n0…n1−1), one block of inputs after the
// other: the chains wait in y meanwhile, or in scratch memory.
func (j *product) block(ws *workspace, m0, m1, n0, n1 int) {
	p, in, rows := j.p, j.w.In, m1-m0
	ws.p = p
	c, ldc := j.y[m0*j.ldy+n0:], j.ldy
	apart := j.add && in > blockK // the sum has to be complete before it is added
	if apart {
		ldc = n1 - n0
		c = ws.sums.take(rows * ldc)
	}
	for k0 := 0; k0 < in; k0 += blockK {
		t := tiles{p: p, kernel: p.kernel, rows: rows, k: min(blockK, in-k0), a: j.x[m0*j.ldx+k0:], lda: j.ldx}
		switch {
		case k0 > 0:
			t.mode = resume
		case j.add && !apart:
			t.mode = add
		}
		k := t.k
		if j.bf16 {
			j.roundA(&t, ws, m0, k0)
		}
		for n := n0; n < n1; n += p.nr {
			t.cols = min(p.nr, n1-n)
			if j.inPlace(rows, t.cols) {
				_, _, t.ldb = j.w.shape()
				t.b = j.w.floats[k0*t.ldb+n:]
			} else {
				t.b, t.ldb = ws.panel, p.nr
				p.pack(t.b, ws, &j.w, n, t.cols, k0, k)
				if j.bf16 {
					j.roundB(&t, k)
				}
				if next := n + p.nr; next < n1 {
					t.next = j.source(next, k0)
				} else {
					t.next = j.source(n0, k0+blockK)
				}
			}
			t.run(c[n-n0:], ldc)
		}
	}
	if apart {
		for m := range rows {
			row := j.y[(m0+m)*j.ldy+n0:][:ldc]
			for i, s := range c[m*ldc:][:ldc] {
				row[i] += s
			}
		}
	}
}

// inPlace says whether a panel of so many columns is read from where it lies, for
// so many rows of x.
func (j *product) inPlace(rows, cols int) bool {
	return rows <= directRows && j.w.floats != nil && j.w.Transposed && !j.bf16 && j.p.direct(cols)
}

// source returns where the weights of the panel (n, k0) lie, of a matrix that is
// not transposed; nothing if there is no such panel.
func (j *product) source(n, k0 int) source {
	w := &j.w
	if w.Transposed || k0 >= w.In {
		return source{}
	}
	_, _, stride := w.shape()
	size := w.Format.Size()
	return source{
		first:  w.at(n*stride + k0),
		stride: uintptr(stride * size),
		rows:   min(j.p.nr, w.Out-n),
		bytes:  min(blockK, w.In-k0) * size,
	}
}
