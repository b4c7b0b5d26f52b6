//go:build !amd64 || noasm

package fp8

// archPaths returns the paths in assembly: none here.
func archPaths() []*path { return nil }

// archTile is the scratch memory of paths in assembly.
type archTile struct{}

func (archTile) release() {}
