package vec

import (
	"fmt"

	"quern/internal/cpu"
)

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

	energies func(a, b []byte) (aa, bb, dd, most float64)
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
	energies:          energiesGeneric,
}

// current is the path in use.
var current = cpu.Choose(func(p *path) string { return p.name }, paths()...)

// paths returns the paths that this machine can take, the best one last.
func paths() []*path { return append([]*path{&genericPath}, archPaths()...) }

// equal panics unless the lengths n and m, which have to be equal, are.
func equal(n, m int) {
	if n != m {
		panic(fmt.Sprintf("vec: lengths %d and %d differ", n, m))
	}
}
