package gemm

import "quern/internal/cpu"

// path is one implementation of the kernels. All paths give the same bits.
type path struct {
	name   string
	mr, nr int // rows and columns of the largest tile
	kernel kernel

	// pack writes the weights (n0…n0+cols−1, k0…k0+k−1) as a panel: weight (n, k)
	// at (k−k0)·nr+n−n0. What it leaves in columns from cols on nobody uses.
	// dst has room for k rounded up to a multiple of 8.
	pack func(dst []float32, ws *workspace, w *Weight, n0, cols, k0, k int)

	// direct says that the kernel may read panels of this width from float32
	// weights stored transposed, where they lie.
	direct func(cols int) bool

	few few

	pairs *pairs // or nil
}

// kernel computes a tile of rows×cols outputs, c[r·ldc+n] for r < rows and n < cols,
// as chains over a[r·lda+i]·b[i·ldb+n] for i = 0…k−1. k is at least 1.
type kernel func(c []float32, ldc int, a []float32, lda int, b []float32, ldb, k, rows, cols int, m mode, next fetch)

// fetch is memory that a kernel brings into the second-level cache meanwhile, one
// cache line in each of its k steps, as far as it comes.
type fetch struct {
	first       *byte
	rows, lines int     // lines of a row; 0: nothing is fetched
	skip        uintptr // bytes from behind them to the next row
}

// mode says where a kernel's chains begin and where they end.
type mode int

const (
	resume      mode = 1 << iota // begin with c, not with 0
	add                          // add the result to c
	flushToZero                  // subnormal operands and results are zeros
)

// current is the path in use.
var current = cpu.Choose(func(p *path) string { return p.name }, paths()...)

// paths returns the paths that this machine can take, the best one last.
func paths() []*path {
	return append([]*path{&genericPath}, archPaths()...)
}
