package evaluation

import (
	"context"
	"runtime"
	"time"

	"quern/corpus"
	"quern/gpu"
	"quern/internal/invalid"
	"quern/runner"
	"quern/verify/metrics"
)

// Options say how to evaluate. Only FP8Activations,
// StaticScales, Device and Fast affect results.
type Options struct {
	Workers        int   // 0: one a processor
	Memory         int64 // see runner.Options
	TempDir        string
	FP8Activations bool
	StaticScales   bool // see runner.Options; of the checkpoint, not of the baseline
	Fast           bool
	Device         gpu.Device // see runner.Options
	Worst          int        // how many of the worst tokens are listed
	// Renumbered is, by layer, the number in the baseline of each expert of the
	// checkpoint; layers that it lacks have the same numbers.
	Renumbered map[int][]int
	// Progress, if set, is called with the work that is done and that there is, in
	// bytes of weights.
	Progress func(what string, done, total int64)
}

func (o *Options) runner(what string, hooks *runner.Hooks) runner.Options {
	r := runner.Options{
		Workers: o.Workers, Memory: o.Memory, TempDir: o.TempDir,
		FP8Activations: o.FP8Activations, StaticScales: o.StaticScales, Fast: o.Fast, Device: o.Device, Hooks: hooks,
	}
	if o.Progress != nil {
		r.Progress = func(done, total int64) { o.Progress(what, done, total) }
	}
	return r
}

func (o *Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// timed evaluates chunks and measures the speed.
func timed(ctx context.Context, m *runner.Model, chunks []corpus.Chunk, o runner.Options) (*runner.Evaluation, metrics.Figure, error) {
	start := time.Now()
	ev, err := m.Evaluate(ctx, corpus.Sequences(chunks), o)
	if err != nil {
		return nil, 0, err
	}
	return ev, metrics.Figure(float64(ev.Starts[len(chunks)]) / time.Since(start).Seconds()), nil
}

// comparable refuses two models that cannot be held against each other.
func comparable(base, quant *runner.Model) error {
	if base.Vocab() != quant.Vocab() {
		return invalid.Errorf("the baseline has a vocabulary of %d tokens, %q one of %d", base.Vocab(), quant.Checkpoint().Path, quant.Vocab())
	}
	return nil
}
