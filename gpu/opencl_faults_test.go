//go:build !nogpu && (linux || darwin || windows) && (amd64 || arm64)

package gpu_test

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"quern/gpu/internal/faults"
	"quern/gpu/opencl"
)

// ledger counts what OpenCL has given out and not got back.
type ledger struct {
	mu    sync.Mutex
	calls map[string]int
	held  map[string]int
}

// pairs are the calls that give something out, and those that give it back.
var pairs = map[string]string{
	"clCreateContext": "clReleaseContext", "clCreateCommandQueue": "clReleaseCommandQueue",
	"clCreateProgramWithSource": "clReleaseProgram", "clCreateKernel": "clReleaseKernel",
	"clCreateBuffer": "clReleaseMemObject", "clEnqueueMapBuffer": "clEnqueueUnmapMemObject",
	"clEnqueueMarkerWithWaitList": "clReleaseEvent",
}

func (l *ledger) note(name string, code int32) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[name]++
	if back := pairs[name]; back != "" && code == 0 {
		l.held[back]++
	} else if faults.Releases(name) {
		l.held[name]--
	}
	return code
}

// Each function of OpenCL fails, the first and the last time that it is called:
// alone, with all that follow, or for want of memory.
func TestOpenCLFaults(t *testing.T) {
	devices(t)
	w := newWork()
	run := func(p *plan, fallback bool) *ledger {
		a, err := opencl.Load()
		if err != nil {
			t.Skip(err)
		}
		l := &ledger{calls: map[string]int{}, held: map[string]int{}}
		faults.Wrap(a, func(name string) int32 { return l.note(name, p.before(name)) })
		w.run(t, a.Devices, fallback)
		for name, n := range l.held {
			if n != 0 {
				t.Errorf("%s, call %d, code %d, %d times: %d calls of %s are missing", p.name, p.n, p.code, p.times, n, name)
			}
		}
		return l
	}
	calls := run(&plan{n: 1 << 60}, true).calls
	i := 0
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		for _, n := range []int{1, calls[name]} {
			if i++; testing.Short() && i%5 != 0 || t.Failed() {
				continue
			}
			p := []*plan{{times: 1, code: -36}, {times: 1 << 60, code: -36}, {times: 1, code: -5}}[i%3]
			p.name, p.n = name, int64(n)
			run(p, i%4 != 0)
		}
	}
}
