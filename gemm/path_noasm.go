//go:build !amd64 || noasm

package gemm

// archPaths returns the paths in assembly: none here.
func archPaths() []*path { return nil }

// archWorkspace is the scratch memory of paths in assembly.
type archWorkspace struct{}
