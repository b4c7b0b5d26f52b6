//go:build !amd64 || noasm

package packed

// archPaths returns the paths in assembly: none here.
func archPaths() []*path { return nil }
