package vec

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// EnvPath is the environment variable that overrides the choice of the path, the
// same as that of package fp8.
const EnvPath = "QUERN_CPU"

// path is one implementation of all kernels. Lengths have been checked; n = 0 is
// allowed everywhere.
type path struct {
	name string

	dot      func(a, b []float32) float32
	axpy     func(y []float32, alpha float32, x []float32)
	add, mul func(y, x []float32)
	scale    func(dst, x []float32, alpha float32)    // dst = x·alpha
	scaleMul func(dst, x, w []float32, alpha float32) // dst = x·alpha·w

	max    func(x []float32) float32
	absMax func(x []float32) float32

	exp, sigmoid  func(dst, x []float32)
	softExp       func(x []float32, m float32) float32 // x = e^(x−m), returns Σx
	siluMul       func(dst, gate, up []float32)
	clampedSwiGLU func(dst, gateUp []float32, alpha, limit float32)

	rotate, rotateInterleaved func(x, cos, sin []float32)

	quantize func(x []float32, s float32) // x = E4M3(x/s)·s, |x/s| ≤ 448 before rounding

	expSums func(a, b []float32, shiftA, shiftB float64) (ea, eb, d float64)
	expSum  func(a []float32, shift float64) float64
}

var genericPath = path{
	name:              "generic",
	dot:               dotGeneric,
	axpy:              axpyGeneric,
	add:               addGeneric,
	mul:               mulGeneric,
	scale:             scaleGeneric,
	scaleMul:          scaleMulGeneric,
	max:               maxGeneric,
	absMax:            absMaxGeneric,
	exp:               expGeneric,
	sigmoid:           sigmoidGeneric,
	softExp:           softExpGeneric,
	siluMul:           siluMulGeneric,
	clampedSwiGLU:     clampedSwiGLUGeneric,
	rotate:            rotateGeneric,
	rotateInterleaved: rotateInterleavedGeneric,
	quantize:          quantizeGeneric,
	expSums:           expSumsGeneric,
	expSum:            expSumGeneric,
}

// current is the path in use.
var current atomic.Pointer[path]

func init() {
	p := paths()
	current.Store(p[len(p)-1])
	if name := os.Getenv(EnvPath); name != "" {
		// As in package fp8: init can report no error, the program can.
		_ = SetPath(name)
	}
}

// paths returns the paths that this machine can take, the best one last.
func paths() []*path { return append([]*path{&genericPath}, archPaths()...) }

// Path returns the name of the path in use: "generic", "avx2" or "avx512". All of
// them give the same bits.
func Path() string { return current.Load().name }

// SetPath makes the path of that name the one in use, for all goroutines; calls
// that are under way finish as they began. The empty name and "auto" mean the best
// path of this machine, "table" means "generic". The error says that the name is
// unknown or that this machine or binary has no such path; the path stays what it
// was then.
func SetPath(name string) error {
	ps := paths()
	if name == "" || name == "auto" {
		current.Store(ps[len(ps)-1])
		return nil
	}
	if name == "table" {
		name = "generic"
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

// equal panics unless the lengths n and m, which have to be equal, are.
func equal(n, m int) {
	if n != m {
		panic(fmt.Sprintf("vec: lengths %d and %d differ", n, m))
	}
}
