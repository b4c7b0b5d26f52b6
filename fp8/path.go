package fp8

import "quern/internal/cpu"

// current is the path in use.
var current = cpu.Choose(func(p *path) string { return p.name }, paths()...)

// paths returns the paths that this machine can take, the best one last.
func paths() []*path {
	return append([]*path{&genericPath, &tablePath}, archPaths()...)
}
