package vec

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"quern/internal/cpu/cputest"
)

func normal(seed uint64, n int, sigma float64) []float32 {
	r := rand.New(rand.NewPCG(seed, seed))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * sigma)
	}
	return x
}

// Benchmark measures rows in the first-level cache, but for the logits of a
// vocabulary. Beside GB/s of what is read and written it reports ns/element.
func Benchmark(b *testing.B) {
	for _, k := range []struct {
		name  string
		n     int
		moved int // bytes an element
		bind  func(n int) func()
	}{
		{"Dot", 128, 8, func(n int) func() {
			x, y := normal(1, n, 1), normal(2, n, 1)
			return func() { Dot(x, y) }
		}},
		{"Dot", 7168, 8, func(n int) func() {
			x, y := normal(1, n, 1), normal(2, n, 1)
			return func() { Dot(x, y) }
		}},
		{"Axpy", 512, 12, func(n int) func() {
			x, y := normal(1, n, 1), normal(2, n, 1)
			return func() { Axpy(y, 1e-3, x) }
		}},
		{"Add", 7168, 12, func(n int) func() {
			x, y := normal(1, n, 1), make([]float32, n)
			return func() { Add(y, x) }
		}},
		{"RMSNorm", 256, 12, benchRMSNorm},
		{"RMSNorm", 7168, 12, benchRMSNorm},
		{"Max", 2048, 4, func(n int) func() {
			x := normal(1, n, 1)
			return func() { Max(x) }
		}},
		{"ArgMax", 129280, 4, func(n int) func() {
			x := normal(1, n, 1)
			return func() { ArgMax(x) }
		}},
		{"AbsMax", 2048, 4, func(n int) func() {
			x := normal(1, n, 1)
			return func() { AbsMax(x) }
		}},
		{"Exp", 512, 8, func(n int) func() {
			x, y := normal(1, n, 1), make([]float32, n)
			return func() { Exp(y, x) }
		}},
		{"Softmax", 64, 8, benchSoftmax},
		{"Softmax", 512, 8, benchSoftmax},
		{"Softmax", 509, 8, benchSoftmax},
		{"Sigmoid", 512, 8, func(n int) func() {
			x, y := normal(1, n, 1), make([]float32, n)
			return func() { Sigmoid(y, x) }
		}},
		{"SiLUMul", 2048, 12, func(n int) func() {
			x, y, z := normal(1, n, 1), normal(2, n, 1), make([]float32, n)
			return func() { SiLUMul(z, x, y) }
		}},
		{"ClampedSwiGLU", 2880, 12, func(n int) func() {
			x, y := normal(1, 2*n, 1), make([]float32, n)
			return func() { ClampedSwiGLU(y, x, 1.702, 7) }
		}},
		{"Rotate", 64, 8, benchRotate(Rotate)},
		{"RotateInterleaved", 64, 8, benchRotate(RotateInterleaved)},
		{"FirstNonFinite", 7168, 4, func(n int) func() {
			x := normal(1, n, 1)
			return func() { FirstNonFinite(x) }
		}},
		{"QuantizeGroups", 7168, 8, func(n int) func() {
			x := normal(1, n, 1)
			return func() { QuantizeGroups(x, false) }
		}},
		{"ExpSums", 2048, 8, func(n int) func() {
			x, y := normal(1, n, 3), normal(2, n, 3)
			return func() { ExpSums(x, y, 10, 11) }
		}},
		{"Energies", 4096, 8, func(n int) func() {
			x, y := stored(normal(1, n, 3)), stored(normal(2, n, 3))
			return func() { Energies(x, y) }
		}},
		{"ExpSum", 2048, 4, func(n int) func() {
			x := normal(1, n, 3)
			return func() { ExpSum(x, 10) }
		}},
	} {
		for _, p := range paths() {
			b.Run(k.name+"/"+strconv.Itoa(k.n)+"/"+p.name, func(b *testing.B) {
				cputest.Use(b, p.name)
				f := k.bind(k.n)
				b.SetBytes(int64(k.n * k.moved))
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(k.n), "ns/element")
			})
		}
	}
}

func benchRMSNorm(n int) func() {
	x, w, y := normal(1, n, 1), normal(2, n, 1), make([]float32, n)
	return func() { RMSNorm(y, x, w, 1e-6) }
}

// benchSoftmax works in place: from the second run on the scores are close to each
// other, which makes no difference to the time.
func benchSoftmax(n int) func() {
	x := normal(1, n, 3)
	return func() { Softmax(x) }
}

func benchRotate(f func(x, cos, sin []float32)) func(n int) func() {
	return func(n int) func() {
		x, c, s := normal(1, n, 1), make([]float32, n/2), make([]float32, n/2)
		for i := range c {
			c[i], s[i] = 0.6, 0.8
		}
		return func() { f(x, c, s) }
	}
}
