package evaluation

import (
	"runtime"

	"quern/corpus"
	"quern/gpu"
	"quern/internal/invalid"
	"quern/runner"
	"quern/verify/record"
)

// Options say how to evaluate. Only Emulate,
// Deployment, StaticScales, Device and Fast affect results.
type Options struct {
	Workers      int   // 0: one a processor
	Memory       int64 // see runner.Options
	TempDir      string
	Emulate      bool // see runner.Options
	StaticScales bool // see runner.Options; of the checkpoint, not of the baseline
	// Deployment runs a checkpoint whose inputs engines round a second time, with them
	// rounded. It has no effect with Emulate.
	Deployment bool
	Fast       bool       // see runner.Options
	Device     gpu.Device // see runner.Options
	Worst      int        // how many of the worst tokens are listed
	// Renumbered is, by layer, the number in the baseline of each expert of the
	// checkpoint; layers that it lacks have the same numbers.
	Renumbered map[int][]int
	// Records, if set, has what was found before, and takes what is found: see Findings.
	// The names of records begin with Name.
	Records *record.Book
	Name    string
	// Resumed, if set, is told where an earlier run is gone on with, Saved what is kept
	// for a later one.
	Resumed, Saved func(what string, layer, layers int)
	// Progress, if set, is called with the work that is done and that there is, in
	// bytes of weights.
	Progress func(what string, done, total int64)

	held int64 // bytes of Memory that are taken
}

// figureBytes is about what the figures of a token take until the report: while its logits
// come, as one of all tokens and of its text's, and in the sorted lists of quantiles.
const figureBytes = 768

// foundBytes is about what the findings of a token take beside its record.
const foundBytes = 160

// free is what is left of the memory.
func (o *Options) free() int64 {
	m := o.Memory
	if m <= 0 {
		m = runner.DefaultMemory
	}
	return max(m-o.held-o.Records.Bytes(), 1)
}

// holding are the options beside so many bytes more, and the figures of chunks if there
// are any.
func (o Options) holding(bytes int64, chunks []corpus.Chunk) Options {
	o.held += bytes
	for _, c := range chunks {
		o.held += figureBytes * int64(len(c.IDs))
	}
	return o
}

func (o *Options) runner(what string, hooks *runner.Hooks) runner.Options {
	r := runner.Options{
		Workers: o.Workers, Memory: o.free(), TempDir: o.TempDir,
		Emulate: o.Emulate, StaticScales: o.StaticScales, Fast: o.Fast, Device: o.Device, Hooks: hooks,
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

// comparable refuses two models that cannot be held against each other.
func comparable(base, quant *runner.Model) error {
	if base.Vocab() != quant.Vocab() {
		return invalid.Errorf("the baseline has a vocabulary of %d tokens, %q one of %d", base.Vocab(), quant.Checkpoint().Path, quant.Vocab())
	}
	return nil
}
