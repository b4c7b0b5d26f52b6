//go:build !amd64 || noasm

package blake3

// archPaths returns the paths in assembly: none here.
func archPaths() []*path { return nil }
