//go:build !noasm

package gemm

import "quern/internal/cpu"

// archPaths returns the paths in assembly that this machine can run, the best one
// last.
func archPaths() (ps []*path) {
	if cpu.AVX2 {
		ps = append(ps, avx2Path)
	}
	if cpu.AVX512 {
		ps = append(ps, avx512Path)
		if cpu.AVX512BF16 {
			avx512Path.pairs = bf16AVX512
		}
	}
	return ps
}

// archWorkspace is the scratch memory of paths in assembly.
type archWorkspace struct {
	offsets [16]uintptr // of the weight rows that are packed together
	scales  [16]float32
	tail    [16 * 16]byte
	tile    [6 * 16]float32
}
