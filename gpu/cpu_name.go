package gpu

import (
	"os"
	"runtime"
	"strings"
	"sync"
)

// cpuName is what the system calls the processor, or its architecture.
var cpuName = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/proc/cpuinfo") // there is none on other systems
	for line := range strings.Lines(string(b)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
})
