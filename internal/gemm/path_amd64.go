//go:build !noasm

package gemm

import "golang.org/x/sys/cpu"

// archPaths returns the paths in assembly that this machine can run, the best one
// last.
func archPaths() (ps []*path) {
	x := &cpu.X86
	if x.HasAVX2 && x.HasFMA && x.HasF16C {
		ps = append(ps, avx2Path)
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		ps = append(ps, avx512Path)
		if x.HasAVX512BF16 {
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
