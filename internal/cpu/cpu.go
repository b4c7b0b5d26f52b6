// Package cpu is the one place that looks at the processor. Packages with kernels
// keep a [Choice] of their implementations; which of them run is decided here, once,
// for all of them.
//
// A path is named by what it needs: "generic" (plain Go, the reference), "table"
// (plain Go that looks results up), "avx2" and "avx512". All paths give the same
// bits. A binary that was built with the tag noasm has the first two.
package cpu

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// Env is the environment variable that names the path, like [Set]. It is applied
// when the program starts.
const Env = "QUERN_CPU"

// names are the paths in rising order.
var names = [...]string{"generic", "table", "avx2", "avx512"}

// A level is an index of names.
const (
	generic = iota
	table
	avx2
	avx512
)

var (
	mu      sync.Mutex
	choices []interface{ use(level int) }
	level   = best()
	envErr  error
)

func init() {
	if name := os.Getenv(Env); name != "" {
		if err := Set(name); err != nil {
			envErr = fmt.Errorf("%s: %w", Env, err) // init can report no error, FromEnv does
		}
	}
}

// FromEnv says why what [Env] names is not used; nil where it is, or is not set.
func FromEnv() error { return envErr }

// best is the highest level that this machine and this binary have.
func best() int {
	switch {
	case AVX512:
		return avx512
	case AVX2:
		return avx2
	}
	return table
}

// Path returns the name of the path in use.
func Path() string {
	mu.Lock()
	defer mu.Unlock()
	return names[level]
}

// Paths returns the names of the paths that this machine and binary have, the best
// one last.
func Paths() []string { return slices.Clone(names[:best()+1]) }

// Set makes the named path the one in use, for all packages and goroutines; calls
// that are under way finish as they began. A package without that very path takes
// its best one below. The empty name and "auto" mean the best path of this machine.
// The error says that the name is unknown, or that this machine or binary has no
// such path; the path stays what it was then.
func Set(name string) error {
	l := best()
	if name != "" && name != "auto" {
		l = slices.Index(names[:], name)
	}
	have := strings.Join(Paths(), ", ")
	switch {
	case l < 0:
		return fmt.Errorf("choosing the CPU path: %q is unknown; use one of %s", name, have)
	case l > best():
		return fmt.Errorf("choosing the CPU path: this machine or binary has no %s, only %s", name, have)
	}
	mu.Lock()
	defer mu.Unlock()
	level = l
	for _, c := range choices {
		c.use(l)
	}
	return nil
}
