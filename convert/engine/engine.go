// Package engine executes plans: it is the only code that moves tensor bytes.
//
// One goroutine deals the input in the order of its files to a bounded set of
// slabs, a few others read into them, workers transform what was read, writers put it
// in its place in the output shards, and each shard, once whole, is synced and takes
// its final name while the next are being filled. Memory is the slabs', whatever the
// size of a tensor. Several reads are in flight, whatever tensors they belong to, of
// one place that moves through the files: readers that each took a tensor of their
// own would defeat the read-ahead of disks.
//
// What is written depends on the plan alone: chunk borders, the number of
// workers and interruptions leave no trace.
package engine

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/gpu"
	"quern/store"
	"quern/task"
)

// Source is an input file, in the order of the plan's Input.Files.
type Source struct {
	Name  string // in the folder of the input
	Path  string // as people call it
	Size  int64
	Stamp store.Stamp // as it was planned with
}

// Options say how to execute a plan. None of them affects the output's bytes.
type Options struct {
	Dir       string       // output folder: a location
	Out       store.Sink   // the same; nil: opened by its location
	In        store.Folder // holds the weight files, and the plan's side files
	Single    bool         // the input is a single file of In, not the folder
	Sources   []Source     // weight files
	Workers   int          // goroutines that transform; 0: one a processor
	Memory    int64        // bytes for the whole process; 0: DefaultMemory, or what the plan takes if that is more
	Task      task.Task    // the files that are made, in a folder that tasks share; the zero Task: all
	Overwrite bool         // remove an earlier output in Dir first, but go on with what the same call has begun
	// Channels returns the mean squares of a module's input channels, as the plan's
	// calibration has them. A plan with weighted searches needs it; it is called
	// from one goroutine.
	Channels func(module string) (squares []float32, ok bool)
	// Device quantizes; nil: the processor. The bytes are the same.
	Device gpu.Device
	// Network is what of Memory is not the engine's: ranges of remote files in flight.
	Network int64
	// Progress, if set, is called from many goroutines with bytes of input
	// that are done and that there are in all.
	Progress func(done, total int64)
	// Begun, if set, is called before with what earlier runs have done of it.
	Begun func(done, total int64)

	twice     bool // surveys keep nothing: the slow twin of held, for tests
	ahead     bool // all is read by readers: the slow twin of what workers read, for tests
	anyMemory bool // nobody set Memory
}

// deviceWorkers keeps the slots of a device busy (gpu.Options.Slots) while as many
// workers write and hash.
const deviceWorkers = 8

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Device == nil {
		o.Device = gpu.CPU()
	} else {
		// A worker waits while the device works on its slab: with more of them than
		// processors, reading, copying, kernels and writing overlap.
		o.Workers = max(o.Workers, deviceWorkers)
	}
	if o.Memory <= 0 {
		o.Memory, o.anyMemory = DefaultMemory, true
	}
	return o
}

// DefaultMemory is the default bound on the process's memory.
const DefaultMemory = 512 << 20

// Result says what a run did.
type Result struct {
	Manifest *manifest.Manifest
	Read     int64    // bytes of input
	Resumed  int      // shards that an earlier run had finished
	Remarks  []string // what the data showed to be odd; of shards made by this run
}

// engine is a run under way.
type engine struct {
	plan *plan.Plan
	opts Options
	out  store.Sink
	ctx  context.Context // of the run: opening files of other machines takes time

	run   *manifest.Manifest // without tensors
	state *state
	mem   memory
	large large

	ins   *buffers      // for what is read
	outs  *buffers      // for what is made of it
	reads chan *chunk   // wait for a reader
	work  chan *chunk   // wait for a worker, in the order of the input
	turn  chan struct{} // of the worker that takes the next one
	made  chan *chunk   // wait for a writer

	inputs []store.Object
	here   []bool // whether they lie on this machine
	ahead  bool   // readers read what is in the page cache too
	inMu   sync.Mutex
	drop   bool // forget cached pages behind the work
	window *window

	surveys map[string]*plan.Survey // of the plan, by name
	spare   chan []byte             // memory for what surveys keep
	again   atomic.Int64            // bytes that were coded from there
	largest map[string]float32      // what is known of them

	id    string    // of this process, among those that share the folder
	began time.Time // when the state was

	stateMu sync.Mutex
	done    atomic.Int64
	before  int64 // bytes of input that earlier runs are done with
	total   int64
}

// Run executes p. On an error, and when ctx ends, finished shards and the
// state stay, so that the same call goes on where this one stopped.
func Run(ctx context.Context, p *plan.Plan, o Options) (*Result, error) {
	o = o.withDefaults()
	var err error
	if o.Out == nil {
		if o.Out, err = store.OpenSink(o.Dir); err != nil {
			return nil, err
		}
	}
	if err := apart(o); err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if o.Channels == nil && slices.ContainsFunc(p.Tensors, weighted) {
		return nil, errors.New("the plan weighs channels by a calibration that is not there")
	}
	e := &engine{surveys: surveysOf(p), largest: map[string]float32{}, plan: p, opts: o, out: o.Out, ctx: ctx, inputs: make([]store.Object, len(o.Sources)), here: make([]bool, len(o.Sources))}
	if e.mem, err = divide(p, o); err != nil {
		return nil, err
	}
	if e.run, err = head(p); err != nil {
		return nil, err
	}
	defer e.closeInputs()
	if o.Task.Whole() {
		e.state, err = claim(e.out, e.run, e.over(), e.shardNames(), e.writes())
	} else {
		e.id = unique()
		e.out = e.out.Shared(e.id)
		e.state, err = e.join(ctx)
	}
	if err != nil {
		if errors.Is(err, ErrComplete) {
			return nil, e.complete()
		}
		return nil, err
	}
	res := &Result{Manifest: e.run}
	if err := e.execute(ctx, res); err != nil {
		e.fail(err)
		_ = e.state.log.Close()
		return nil, err
	}
	res.Remarks = e.large.remarks()
	return res, nil
}

// head is the manifest of p without its tensors.
func head(p *plan.Plan) (*manifest.Manifest, error) {
	digest, err := p.Digest()
	if err != nil {
		return nil, err
	}
	return &manifest.Manifest{Tool: p.Tool, Command: p.Command, Options: p.Options, Input: p.Input, Calibration: p.Calibration, Plan: digest, Beside: made(p)}, nil
}

// execute fills the shards that are not there yet and then the folder.
func (e *engine) execute(ctx context.Context, res *Result) error {
	var todo []int
	first, last := e.share()
	for k := first; k < last; k++ {
		finished, err := e.finished(&e.plan.Shards[k])
		if err != nil {
			e.state.abandon()
			return err
		}
		if finished {
			res.Resumed++
			for _, i := range e.plan.Shards[k].Tensors {
				e.before += inputBytes(&e.plan.Tensors[i])
			}
			continue
		}
		delete(e.state.done, e.plan.Shards[k].Name)
		todo = append(todo, k)
	}
	if err := e.ready(todo); err != nil {
		e.state.abandon()
		return err
	}
	if err := e.state.begin(ctx, e.run); err != nil {
		return err
	}
	e.began = time.Now()
	for _, k := range todo {
		for _, i := range e.plan.Shards[k].Tensors {
			e.total += inputBytes(&e.plan.Tensors[i])
		}
	}
	pending, err := e.recall(todo)
	if err != nil {
		return err
	}
	e.total += pending
	if e.opts.Begun != nil && e.before > 0 {
		e.opts.Begun(e.before, e.before+e.total)
	}
	if err := e.alive(func() error { return e.convert(ctx, todo) }); err != nil {
		return err
	}
	res.Read = e.done.Load() - e.again.Load()
	for k := first; k < last; k++ {
		res.Manifest.Tensors = append(res.Manifest.Tensors, e.state.done[e.plan.Shards[k].Name].Tensors...)
	}
	if !e.opts.Task.Whole() {
		return e.hand(ctx)
	}
	if err := e.publishFolder(ctx, res.Manifest); err != nil {
		return err
	}
	return e.state.finish()
}

// ready looks for what would stop the run, before it changes anything.
func (e *engine) ready(todo []int) error {
	for _, k := range todo {
		for _, i := range e.files(&e.plan.Shards[k]) {
			if _, err := e.input(i); err != nil {
				return err
			}
		}
	}
	return e.enoughDisk(todo)
}

// convert runs reader, workers and publishers over the shards in todo.
func (e *engine) convert(ctx context.Context, todo []int) error {
	g, ctx := errgroup.WithContext(ctx)
	e.ins, e.outs = newBuffers(e.mem.ins, e.mem.slab), newBuffers(e.mem.outs, e.mem.slab)
	e.spare = make(chan []byte, heldSets)
	for range heldSets {
		e.spare <- nil // made when there is use for it
	}
	e.reads = make(chan *chunk)
	e.work, e.turn = make(chan *chunk, e.mem.ins), make(chan struct{}, 1)
	e.made = make(chan *chunk, e.mem.ins+e.mem.outs)
	e.drop = e.total > dropAbove()
	e.window = newWindow(e.drop)
	e.ahead = e.opts.ahead || e.opts.Device.Info().Kind != "cpu" // a card wants large pieces
	var open []*shard
	for range e.mem.reads {
		g.Go(func() error { return e.reader(ctx) })
	}
	g.Go(func() error {
		defer close(e.reads)
		defer close(e.work)
		limit := make(chan struct{}, shardsInFlight)
		for _, k := range todo {
			select {
			case limit <- struct{}{}:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			s, err := e.openShard(k)
			if err != nil {
				return err
			}
			open = append(open, s)
			g.Go(func() error {
				defer func() { <-limit }()
				return e.publish(ctx, s)
			})
			if err := e.feed(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	var workers sync.WaitGroup
	workers.Add(e.mem.workers)
	for range e.mem.workers {
		g.Go(func() error {
			defer workers.Done()
			return e.worker(ctx)
		})
	}
	g.Go(func() error {
		workers.Wait()
		close(e.made)
		return nil
	})
	for range e.mem.writes {
		g.Go(func() error { return e.writer(ctx) })
	}
	err := g.Wait()
	e.window.close()
	e.ins, e.outs, e.reads, e.work, e.made = nil, nil, nil, nil, nil
	for _, s := range open {
		s.discard()
	}
	return err
}

// shardsInFlight bounds what a kill costs: one being filled, the others being
// synced.
const shardsInFlight = 3

// inputBytes is what making t reads, for progress.
func inputBytes(t *plan.Tensor) int64 {
	if t.Op == plan.ScaleOf || t.Op == plan.Constant {
		return 0
	}
	return t.Source.Bytes()
}
