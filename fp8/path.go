package fp8

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// EnvPath is the environment variable that overrides the choice of the path.
const EnvPath = "QUERN_CPU"

// current is the path in use.
var current atomic.Pointer[path]

func init() {
	p := paths()
	current.Store(p[len(p)-1])
	if name := os.Getenv(EnvPath); name != "" {
		// An unknown name changes nothing here: init can report no error. The
		// program asks with SetPath(os.Getenv(EnvPath)) and says so.
		_ = SetPath(name)
	}
}

// paths returns the paths that this machine can take, the best one last.
func paths() []*path {
	return append([]*path{&genericPath, &tablePath}, archPaths()...)
}

// Path returns the name of the path in use: "generic", "table", "avx2" or
// "avx512". All of them give the same bits.
func Path() string { return current.Load().name }

// SetPath makes the path of that name the one in use, for all goroutines; calls
// that are under way finish as they began. The empty name and "auto" mean the
// best path of this machine. The error says that the name is unknown or that this
// machine or binary has no such path; the path stays what it was then.
//
// The environment variable QUERN_CPU is applied at start, silently ignored where
// it cannot be; a program that wants to report that calls
// SetPath(os.Getenv(EnvPath)).
func SetPath(name string) error {
	ps := paths()
	if name == "" || name == "auto" {
		current.Store(ps[len(ps)-1])
		return nil
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
