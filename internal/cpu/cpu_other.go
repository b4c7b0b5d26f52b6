//go:build !amd64 || noasm

package cpu

// What kernels in assembly may use: there are none in this binary.
const (
	AVX2   = false
	AVX512 = false

	FastBF16 = false
)
