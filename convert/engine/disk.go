package engine

import (
	"fmt"
	"path/filepath"

	"quern/internal/blockio"
)

// perEntry bounds what index, manifest and state say of a tensor.
const perEntry = 1 << 10

// enoughDisk compares what is still to be written with the space that is left.
func (e *engine) enoughDisk(todo []int) error {
	free, err := e.fs.Free(e.opts.Dir)
	if err != nil {
		return fmt.Errorf("asking for the space left in %q: %w", e.opts.Dir, err)
	}
	need := perEntry*int64(len(e.plan.Tensors)) + int64(len(e.plan.Config)) + 1<<16
	for _, k := range todo {
		s := &e.plan.Shards[k]
		need += s.Size
		if len(e.state.doomed) == 0 {
			need -= min(e.leftOver(s.Name+blockio.Partial), s.Size) // truncated before it is filled again
		}
	}
	for _, f := range e.plan.Beside {
		need += int64(len(f.Data))
	}
	for _, f := range e.plan.Input.Side {
		need += f.Size
	}
	need -= e.state.spare
	if free >= 0 && free < need {
		return fmt.Errorf("output folder %q: %d bytes are needed, %d are free on its disk: nothing was written", e.opts.Dir, need, free)
	}
	return nil
}

// leftOver is the size of a file that a killed run has left, 0 without one.
func (e *engine) leftOver(name string) int64 {
	f, err := e.fs.Open(filepath.Join(e.opts.Dir, name))
	if err != nil {
		return 0
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0
	}
	return st.Size()
}
