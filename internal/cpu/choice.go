package cpu

import (
	"slices"
	"sync/atomic"
)

// A Choice is the implementation, of those that a package has, that is in use. It is
// read in hot code: Load is one atomic load.
type Choice[P any] struct {
	atomic.Pointer[P]
	paths []*P
	level []int
}

// Choose returns the choice among paths, which name tells by the names of this
// package, worst first; the first is "generic". They are those that the machine can
// run, as [AVX2] and [AVX512] say.
func Choose[P any](name func(*P) string, paths ...*P) *Choice[P] {
	c := &Choice[P]{paths: paths}
	for _, p := range paths {
		c.level = append(c.level, slices.Index(names[:], name(p)))
	}
	mu.Lock()
	defer mu.Unlock()
	choices = append(choices, c)
	c.use(level)
	return c
}

// use takes the best path that is not above the level.
func (c *Choice[P]) use(level int) {
	i := len(c.level) - 1
	for c.level[i] > level {
		i--
	}
	c.Store(c.paths[i])
}
