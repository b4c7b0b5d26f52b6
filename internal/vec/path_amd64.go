//go:build !noasm

package vec

import "golang.org/x/sys/cpu"

// archPaths returns the paths in assembly that this machine can run, the best one
// last.
func archPaths() (ps []*path) {
	x := &cpu.X86
	if x.HasAVX2 {
		ps = append(ps, &avx2Path)
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasBMI2 {
		ps = append(ps, &avx512Path)
	}
	return ps
}
