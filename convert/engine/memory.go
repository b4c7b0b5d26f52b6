package engine

import (
	"fmt"

	"quern/convert/plan"
	"quern/internal/ui"
)

// memory says how the bound on memory is divided.
type memory struct {
	slab    int // bytes of a buffer
	ins     int // buffers for what is read
	outs    int // and for what is made of it
	reads   int // in flight at once
	writes  int // the same
	workers int
	scratch int // bytes of a worker's own: float32 values, or a piece of what lies near
	hold    int // bytes of each set of matrices that stay between survey and coding, 0: none does
}

const (
	minSlab = 256 << 10 // two 128×128 tiles of float64
	maxSlab = 8 << 20   // measured cold: 4 MiB cost some percent, 16 MiB gained nothing
	// inFlight is how much is being read at once where memory allows, and how much is
	// written. Twice a slab keeps a disk busy between two calls; more gained nothing
	// measurable.
	inFlight  = 2 * maxSlab
	mostCalls = 16
	// behind is how many more writes there are than reads: one that has ended is noticed
	// late where workers are busy.
	behind = 1
	// spare is how many buffers there are besides those that are being read, worked on or
	// written: one that is ready for whoever is done next.
	spare = 1
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
		m := memory{reads: 1, writes: 1, workers: workers}
		m.ins, m.outs = workers+m.reads+spare, workers+m.writes+spare
		// Half of the budget is left to the collector's slack.
		size := (budget/2 - piece*int64(workers)) / (int64(m.ins+m.outs) + scratch*int64(workers))
		size = min(size, max(maxSlab, least), ceilDiv(useful, 1<<16)<<16) &^ (1<<16 - 1)
		if size >= least {
			m.slab, m.scratch = int(size), max(int(scratch*size), piece)
			for m.reads < mostCalls && int64(m.reads) < inFlight/size && budget/2-m.total() >= 2*size {
				m.reads, m.writes, m.ins, m.outs = m.reads+1, m.writes+1, m.ins+1, m.outs+1
			}
			if budget/2-m.total() >= behind*size {
				m.writes, m.outs = m.writes+behind, m.outs+behind
			}
			left := budget/2 - m.total()
			for i := range p.Surveys {
				if n := heldBytes(&p.Surveys[i]); n <= left/heldSets && !o.twice {
					m.hold = max(m.hold, int(n))
				}
			}
			return m, nil
		}
	}
	need := fixed + perTensor*int64(len(p.Tensors)) + 2*((2*(2+spare)+scratch)*least+piece) // one worker
	if o.Network > 0 {                                                                      // a share of the whole
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
	return fixed + perTensor*int64(len(p.Tensors)) + o.Network + m.total() + heldSets*int64(m.hold), nil
}

// total is what buffers and scratch take.
func (m *memory) total() int64 {
	return int64(m.ins+m.outs)*int64(m.slab) + int64(m.workers)*int64(m.scratch)
}
