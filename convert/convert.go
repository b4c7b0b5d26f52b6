// Package convert turns checkpoints into other checkpoints.
//
// [PlanQuantize] and [PlanBF16] decide, from headers alone, what the output
// holds; [Run] makes it. The decisions are stages over a plan (package
// convert/plan), the bytes are moved by convert/engine, and what comes out is
// described by a manifest (convert/manifest).
package convert

import (
	"context"

	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/gpu"
	"quern/task"
)

// RunOptions say how to make an output. None of them affects its bytes.
type RunOptions struct {
	Workers   int       // 0: one a processor
	Memory    int64     // bound on the process's memory in bytes; 0: engine.DefaultMemory
	Overwrite bool      // remove an earlier output first
	Task      task.Task // the share of the output that is made; the zero Task: all
	Progress  func(done, total int64)
	Begun     func(done, total int64) // see engine.Options
	Network   int64                   // the same
	Device    gpu.Device              // nil: the processor; bytes are the same
	// Calibration is the one that a plan with weighted searches was made with.
	Calibration Calibration
}

// Run makes the checkpoint that p describes, from c, in the folder dir. It
// returns [engine.ErrComplete] if dir holds it already. When it fails or ctx
// ends, what is finished stays and the same call goes on from there.
func Run(ctx context.Context, c *hf.Checkpoint, p *plan.Plan, dir string, o RunOptions) (*engine.Result, error) {
	return engine.Run(ctx, p, EngineOptions(c, dir, o))
}

// EngineOptions are the engine's options for reading c and writing dir.
func EngineOptions(c *hf.Checkpoint, dir string, o RunOptions) engine.Options {
	e := engine.Options{Dir: dir, In: c.Folder, Single: c.Dir == "", Workers: o.Workers, Memory: o.Memory, Overwrite: o.Overwrite, Task: o.Task, Device: o.Device, Progress: o.Progress, Begun: o.Begun, Network: o.Network}
	if o.Calibration != nil {
		e.Channels = o.Calibration.MeanSquares
	}
	for _, f := range c.Files {
		e.Sources = append(e.Sources, engine.Source{Name: f.Name, Path: f.Path, Size: f.Size, Stamp: f.Stamp})
	}
	return e
}
