package engine

import (
	"fmt"

	"quern/internal/ui"
)

// perEntry bounds what index, manifest and state say of a tensor.
const perEntry = 1 << 10

// enoughDisk compares what is still to be written with the space that is left.
func (e *engine) enoughDisk(todo []int) error {
	free, err := e.out.Free()
	if err != nil {
		return err
	}
	need := perEntry*int64(len(e.plan.Tensors)) + int64(len(e.plan.Config)) + 1<<16
	for _, k := range todo {
		s := &e.plan.Shards[k]
		need += s.Size
		if len(e.state.doomed) == 0 {
			need -= min(e.out.Left(s.Name), s.Size) // truncated before it is filled again
		}
	}
	if e.leads() {
		for _, f := range e.plan.Beside {
			need += int64(len(f.Data))
		}
		for _, f := range e.plan.Input.Side {
			need += f.Size
		}
	}
	need -= e.state.spare
	if free >= 0 && free < need {
		return fmt.Errorf("output folder %q: %s are needed, %s are free on its disk: nothing was written", e.out, ui.Bytes(need), ui.Bytes(free))
	}
	return nil
}
