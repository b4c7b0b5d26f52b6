package blake3

import "quern/internal/cpu"

// path is one implementation.
type path struct {
	name   string
	state  func() state
	sum256 func(p []byte) [Size]byte
}

// current is the path in use.
var current = cpu.Choose(func(p *path) string { return p.name }, paths()...)

// paths returns the paths that this machine can take, the best one last.
func paths() []*path { return append([]*path{&genericPath}, archPaths()...) }
