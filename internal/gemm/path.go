package gemm

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// EnvPath is the environment variable that overrides the choice of the path.
const EnvPath = "QUERN_CPU"

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
var current atomic.Pointer[path]

func init() {
	p := paths()
	current.Store(p[len(p)-1])
	if name := os.Getenv(EnvPath); name != "" {
		// An unknown name changes nothing here: init can report no error. Package
		// fp8 reads the same variable, and the program asks there.
		_ = SetPath(name)
	}
}

// paths returns the paths that this machine can take, the best one last.
func paths() []*path {
	return append([]*path{&genericPath}, archPaths()...)
}

// Path returns the name of the path in use: "generic", "avx2" or "avx512". All of
// them give the same bits.
func Path() string { return current.Load().name }

// SetPath makes the path of that name the one in use, for all goroutines; calls
// that are under way finish as they began. The empty name and "auto" mean the
// best path of this machine; "table", a path of package fp8, means "generic". The
// error says that the name is unknown or that this machine or binary has no such
// path; the path stays what it was then.
func SetPath(name string) error {
	ps := paths()
	switch name {
	case "", "auto":
		current.Store(ps[len(ps)-1])
		return nil
	case "table":
		name = genericPath.name
	}
	names := make([]string, len(ps))
	for i, p := range ps {
		if p.name == name {
			current.Store(p)
			return nil
		}
		names[i] = p.name
	}
	have := strings.Join(names, ", ")
	switch name {
	case "avx2", "avx512":
		return fmt.Errorf("choosing the CPU path: this machine or binary has no %s, only %s", name, have)
	}
	return fmt.Errorf("choosing the CPU path: %q is unknown; use one of %s", name, have)
}
