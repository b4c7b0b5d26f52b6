//go:build !noasm

package blake3

import "quern/internal/cpu"

// archPaths returns the paths in assembly that this machine can run.
func archPaths() (ps []*path) {
	if cpu.AVX512 {
		ps = append(ps, &avx512Path)
	}
	return ps
}

var avx512Path = path{
	name:   "avx512",
	state:  func() state { return new(tree) },
	sum256: sumTree,
}
