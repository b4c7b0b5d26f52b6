//go:build !noasm

package vec

import "quern/internal/cpu"

// archPaths returns the paths in assembly that this machine can run, the best one
// last.
func archPaths() (ps []*path) {
	if cpu.AVX2 {
		ps = append(ps, &avx2Path)
	}
	if cpu.AVX512 {
		ps = append(ps, &avx512Path)
	}
	return ps
}
