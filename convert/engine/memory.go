package engine

import (
	"fmt"

	"quern/convert/plan"
	"quern/internal/ui"
)

// memory says how the bound on memory is divided.
type memory struct {
	slab    int // bytes of each of a slab's two buffers
	slabs   int
	reads   int // in flight at once
	workers int
	scratch int // bytes of a worker's float32 scratch, 0 if the plan needs none
	hold    int // bytes of each set of matrices that stay between survey and coding, 0: none does
}

const (
	minSlab = 256 << 10 // two 128×128 tiles of float64
	maxSlab = 8 << 20   // measured cold: 4 MiB cost some percent, 16 MiB gained nothing
	// readAhead is how much is being read at once where memory allows. Twice a slab
	// keeps a disk busy between two calls; more gained nothing measurable.
	readAhead = 2 * maxSlab
	mostReads = 16
	// fixed is what everything but slabs takes: the program, its stacks,
	// buffers of the hash, garbage between collections.
	fixed = 64 << 20
	// perTensor is what headers, plan and manifest hold of an output tensor at
	// the end of a run: 1.4 KB, measured with the 91,991 of DeepSeek-V3.
	perTensor = 3 << 9
)

// divide fits slabs and workers into the bound: first fewer and smaller slabs,
// then fewer workers.
func divide(p *plan.Plan, o Options) (memory, error) {
	if o.anyMemory { // nobody asked for the default: it is raised to what a large plan takes
		o.Memory = max(o.Memory, fixed+perTensor*int64(len(p.Tensors))+o.Network+DefaultMemory/2)
	}
	budget := o.Memory - fixed - perTensor*int64(len(p.Tensors)) - o.Network
	scratch, largest, least := int64(0), int64(0), int64(minSlab)
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Op == plan.Requantize || t.Op == plan.Recast {
			scratch = 1
		}
		if g, ok := matrixOf(t); ok {
			least = max(least, ceilDiv(g.least(), 1<<16)<<16)
		}
		largest = max(largest, t.Bytes(), inputBytes(t))
	}
	// A slab heldSets a tensor's elements in the widest form on their way, which is at
	// most four times that of either end (codes as float32): more is of no use.
	useful := max(min(largest, maxSlab)*4, least)
	for workers := o.Workers; workers > 0; workers-- {
		slabs := workers + 4
		// Half of the budget is left to the collector's slack.
		size := budget / 2 / (2*int64(slabs) + scratch*int64(workers))
		size = min(size, max(maxSlab, least), ceilDiv(useful, 1<<16)<<16) &^ (1<<16 - 1)
		if size >= least {
			spare := (budget/2 - size*(2*int64(slabs)+scratch*int64(workers))) / (2 * size)
			more := int(max(0, min(readAhead/size-1, mostReads-1, spare)))
			m := memory{slab: int(size), slabs: slabs + more, reads: 1 + more, workers: workers, scratch: int(scratch * size)}
			left := budget/2 - size*(2*int64(slabs+more)+scratch*int64(workers))
			for i := range p.Surveys {
				if n := heldBytes(&p.Surveys[i]); n <= left/heldSets && !o.twice {
					m.hold = max(m.hold, int(n))
				}
			}
			return m, nil
		}
	}
	need := fixed + perTensor*int64(len(p.Tensors)) + 2*(2*5+scratch)*least // one worker, five slabs
	if o.Network > 0 {                                                      // a share of the whole
		need += need * o.Network / max(o.Memory-o.Network, 1)
	}
	return memory{}, fmt.Errorf("--memory %s is too little for %d tensors: at least %dMiB are needed", ui.Bytes(o.Memory), len(p.Tensors), (need+1<<20-1)>>20)
}

// Need estimates the memory in bytes that Run will take for p.
func Need(p *plan.Plan, o Options) (int64, error) {
	m, err := divide(p, o.withDefaults())
	if err != nil {
		return 0, err
	}
	return fixed + perTensor*int64(len(p.Tensors)) + o.Network + int64(m.slabs)*2*int64(m.slab) + int64(m.workers)*int64(m.scratch) + heldSets*int64(m.hold), nil
}
