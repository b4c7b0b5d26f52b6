package columns

import "quern/internal/cpu"

// path is one implementation of the kernels. Arguments have been checked.
type path struct {
	name    string
	squares func(sums []float64, maxima, x []float32, stride int)
	pairs   func(table *[Buckets * Buckets]uint32, base uint32, x []float32) // len(x) is a multiple of Step
}

var genericPath = path{"generic", squaresGeneric, pairsGeneric}

// current is the path in use.
var current = cpu.Choose(func(p *path) string { return p.name }, paths()...)

// paths returns the paths that this machine can take, the best one last.
func paths() []*path { return append([]*path{&genericPath}, archPaths()...) }
