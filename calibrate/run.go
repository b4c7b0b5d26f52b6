package calibrate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"time"
	"unsafe"

	"quern/calibrate/file"
	"quern/corpus"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/internal/outfile"
	"quern/runner"
)

// Options say what to measure and how.
type Options struct {
	Tool string // name and version of the program, for the file

	// These affect the numbers.
	AllExperts bool // measure the inputs of experts with every token; routers are not affected
	NoSketches bool // leave distributions out
	Pairs      bool // count which experts are chosen together

	Trace string // also write a routing trace there; "": none

	// Runner says how to run the model: workers, memory, device. Hooks, Resume and
	// AllExperts of it are not looked at, nor is what would change the numbers.
	Runner runner.Options
	// Compute is the kind of device that Runner names, "" for the processor: numbers
	// of different kinds differ in rounding.
	Compute string
	// Checkpoint is how long a run may have gone on before hidden states are saved at
	// the end of a layer. 0 saves them after every layer.
	Checkpoint time.Duration
	// Grace is how long a canceled run may take to finish its layer, so that this and
	// those before it are kept. 0 ends it at once, with what was saved before.
	Grace time.Duration
	// Overwrite begins anew where an unfinished calibration lies, or this one is
	// complete.
	Overwrite bool
	FS        blockio.FS // nil: the machine's
}

// Result says what was made.
type Result struct {
	Info    file.Info
	Digest  [32]byte
	Resumed int // the layer that an earlier run was cut at, 0 if there was none
}

// ErrComplete is returned, with the result, when the file is there already.
var ErrComplete = errors.New("already complete")

// Interrupted is the error of a canceled run.
type Interrupted struct {
	Next int // the layer that the same run goes on at; 0: it begins anew
	err  error
}

func (i *Interrupted) Error() string { return i.err.Error() }
func (i *Interrupted) Unwrap() error { return i.err }

// maxTexts is how many texts have their own loads of experts at most: beyond it they
// are no domains that a table could show.
const maxTexts = 256

// Run runs a model over chunks of texts and writes what it measures to path. If an
// earlier run of the same was cut, it goes on where that was; the file has the same
// bytes then. Errors that blame the model, the texts or what lies in the way match
// invalid.Input.
func Run(ctx context.Context, m *runner.Model, texts []corpus.Text, chunks []corpus.Chunk, path string, o Options) (_ *Result, err error) {
	if o.FS == nil {
		o.FS = blockio.OS
	}
	c := newTokens(texts, chunks)
	if err := c.check(m.Vocab()); err != nil {
		return nil, err
	}
	job, err := describe(m, c, o)
	if err != nil {
		return nil, err
	}
	routed := m.Routed()
	var t *trace
	if o.Trace != "" {
		if len(routed) == 0 {
			return nil, invalid.Errorf("%q: there is no routing to trace: the model has no routed experts", m.Checkpoint().Path)
		}
		if t, err = newTrace(o.FS, o.Trace, &job.Info, routed, c); err != nil {
			return nil, fmt.Errorf("writing %q: %w", o.Trace, err)
		}
	}
	out, traced := outfile.File{Path: path, Kind: outfile.Calibration}, outfile.File{Path: o.Trace, Kind: outfile.Trace}
	if err := (outfile.Command{}).Check(out, traced); err != nil {
		return nil, err
	}
	if !o.Overwrite && (t == nil || t.complete()) {
		if r := complete(path, &job.Info); r != nil {
			sweep(o.FS, path, job)
			return r, ErrComplete
		}
	}
	s, err := openState(o.FS, path, job, o.Overwrite)
	if err != nil {
		return nil, err
	}
	keep := false
	defer func() {
		// What blames the input would happen again.
		keep = keep || err != nil && !errors.Is(err, invalid.Input)
		t.close(keep && s.commit != nil)
		s.close(keep)
	}()
	r := &recorder{
		path: m.Checkpoint().Path, info: &job.Info, corpus: c, observer: newObserver(workers(o.Runner.Workers)), state: s, trace: t,
		checkpoint: o.Checkpoint, resumable: m.Resumable, last: m.Layers() - 1, mtp: -1, saved: time.Now(),
	}
	if m.HasMTP() && c.mtpStarts[len(c.ids)] > 0 {
		r.mtp, r.last = m.Layers(), m.Layers()
	}
	res := &Result{Info: job.Info}
	resume, err := r.resume(m, job, t)
	if err != nil {
		return nil, err
	}
	if s.commit != nil {
		res.Resumed = s.commit.Layer + 1
	}
	if s.commit == nil || s.commit.Slot >= 0 {
		err := r.evaluate(ctx, m, resume, o)
		if errors.Is(err, context.Canceled) {
			i := &Interrupted{err: err}
			if s.commit != nil {
				i.Next = s.commit.Layer + 1
			}
			err = i
		}
		if err != nil {
			return nil, err
		}
	}
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	// Others may have come by in the hours since.
	for _, f := range []outfile.File{out, traced} {
		if err := f.Vacant(); err != nil {
			keep = true
			return nil, err
		}
	}
	if err := t.publish(); err != nil {
		keep = true
		return nil, err
	}
	res.Digest, err = file.Write(o.FS, path, &job.Info, entries)
	return res, err
}

// workers resolves a number of workers.
func workers(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// describe says what a run is, so that only the same one goes on with it.
func describe(m *runner.Model, c *tokens, o Options) (*identity, error) {
	ck := m.Checkpoint()
	model, err := file.Identify(ck)
	if err != nil {
		return nil, err
	}
	job := &identity{
		Info:      file.Info{Tool: o.Tool, Model: model, Texts: c.list(), Options: file.Options{Sketches: !o.NoSketches, Compute: o.Compute}},
		Sequences: file.DigestIDs(c.ids), Trace: o.Trace != "",
	}
	for _, r := range m.Routed() {
		job.Info.Experts = r.Experts - r.Zero
		if r.MTP {
			job.Info.MTPLayers = append(job.Info.MTPLayers, r.Layer)
		}
	}
	if job.Info.Experts > 0 {
		job.Info.Options.AllExperts, job.Info.Options.Pairs = o.AllExperts, o.Pairs
		job.Info.Options.TextLoads = len(job.Info.Texts) <= maxTexts
	}
	for _, f := range ck.Files {
		job.Model = append(job.Model, stamp{f.Name, hex.EncodeToString(f.Header.Digest[:]), f.Stamp})
	}
	return job, nil
}

// complete is the result of an earlier run, nil if path does not have it.
func complete(path string, info *file.Info) *Result {
	f, err := file.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	if !reflect.DeepEqual(f.Info(), *info) {
		return nil
	}
	return &Result{Info: f.Info(), Digest: f.Digest()}
}

// sweep removes the state of the run that has just completed path, if it was killed
// before it could do so itself.
func sweep(fs blockio.FS, path string, job *identity) {
	s := &state{path: path}
	_, err1 := fs.Stat(s.logName())
	_, err2 := fs.Stat(s.hiddenName())
	if err1 != nil && err2 != nil {
		return
	}
	if s, err := openState(fs, path, job, false); err == nil {
		s.close(false)
	}
}

// resume finds out where an earlier run was cut, nil if it left nothing, or nothing
// that can be used.
func (r *recorder) resume(m *runner.Model, job *identity, t *trace) (*runner.Resume, error) {
	s := r.state
	rows := r.corpus.starts[len(r.corpus.ids)]
	traced, err := t.open(s.commit != nil && s.commit.Slot < 0)
	if err != nil || s.commit == nil {
		return nil, err
	}
	if !traced || s.commit.Layer > r.last || !s.intact(rows, m.Width()) {
		return nil, s.restart(job)
	}
	if s.commit.Slot < 0 {
		return nil, nil
	}
	return &runner.Resume{Layer: s.commit.Layer + 1, Hidden: s.reader(rows, m.Width())}, nil
}

// evaluate runs the model.
func (r *recorder) evaluate(ctx context.Context, m *runner.Model, resume *runner.Resume, o Options) error {
	run := o.Runner
	if run.Memory <= 0 {
		run.Memory = 2 << 30
	}
	run.Memory = max(run.Memory-r.reserve(m), run.Memory/2)
	run.AllExperts, run.Hooks, run.Resume = o.AllExperts, r.hooks(), resume
	run.Emulate, run.Fast, run.NoMTP = false, false, false
	r.layerBegan = time.Now()
	if o.Grace > 0 {
		r.asked = ctx
		later, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		stop := context.AfterFunc(ctx, func() { time.AfterFunc(o.Grace, cancel) })
		defer stop()
		ctx = later
	}
	ev, err := m.Evaluate(ctx, r.corpus.ids, run)
	if r.err != nil {
		err = r.err // says more than what the runner found behind the layer
	}
	ev.Close()
	return err
}

// reserve is about what the statistics of the largest layer take.
func (r *recorder) reserve(m *runner.Model) int64 {
	c := m.Config()
	per := int64(8 * (c.HiddenSize + max(c.ExpertSize(), 1)))
	if r.info.Options.Sketches {
		per += 2 * int64(unsafe.Sizeof(distribution{})) // that of gate and up, and that of down
	}
	// Once more while they are written, at a quarter: what a sketch holds is small then.
	return int64(max(r.info.Experts, 1)+16) * per / 4 * 5
}
