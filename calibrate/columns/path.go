package columns

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// EnvPath is the environment variable that overrides the choice of the path, the
// same as that of package fp8.
const EnvPath = "QUERN_CPU"

// path is one implementation of the kernels. Arguments have been checked.
type path struct {
	name    string
	squares func(sums []float64, maxima, x []float32, stride int)
	pairs   func(table *[Buckets * Buckets]uint32, base uint32, x []float32) // len(x) is a multiple of Step
}

var genericPath = path{"generic", squaresGeneric, pairsGeneric}

// current is the path in use.
var current atomic.Pointer[path]

func init() {
	p := paths()
	current.Store(p[len(p)-1])
	if name := os.Getenv(EnvPath); name != "" {
		// As in package fp8: init can report no error, the program can.
		_ = SetPath(name)
	}
}

// paths returns the paths that this machine can take, the best one last.
func paths() []*path { return append([]*path{&genericPath}, archPaths()...) }

// Path returns the name of the path in use.
func Path() string { return current.Load().name }

// SetPath makes the path of that name the one in use, for all goroutines; calls
// that are under way finish as they began. The empty name and "auto" mean the best
// path of this machine, "table" means "generic". The error says that the name is
// unknown or that this machine or binary has no such path; the path stays what it
// was then.
func SetPath(name string) error {
	ps := paths()
	switch name {
	case "", "auto":
		current.Store(ps[len(ps)-1])
		return nil
	case "table":
		name = genericPath.name
	}
	names := make([]string, len(ps))
	for i, p := range ps {
		if p.name == name {
			current.Store(p)
			return nil
		}
		names[i] = p.name
	}
	have := strings.Join(names, ", ")
	switch name {
	case "avx2", "avx512":
		return fmt.Errorf("choosing the CPU path: this machine or binary has no %s, only %s", name, have)
	}
	return fmt.Errorf("choosing the CPU path: %q is unknown; use one of %s", name, have)
}
