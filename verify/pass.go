package verify

import (
	"context"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"quern/convert/plan"
	"quern/fp8"
	"quern/internal/blake3"
	"quern/internal/invalid"
	"quern/source"
)

const (
	// pieceBytes bounds what is read at once from either side. Little, so that what is
	// looked at and what is read meanwhile share the last cache: with 4 MiB a byte was
	// measured to cost a quarter more, and disks were not faster (docs/benchmarks.md).
	pieceBytes = 1 << 20
	// partBytes bounds it where figures are those of whole pieces (see returned), and
	// other memory of a worker.
	partBytes = 4 << 20
	// bandBytes bounds it where a piece has to hold a whole row of tiles: 131,072
	// columns of BF16. Down projections have the most: 18,432 in DeepSeek-V3, 53,248
	// in Llama 3.1 405B, 73,728 in Nemotron-4 340B.
	bandBytes = 8 * partBytes
	// blockElements are added up before they join the sum of the tensor: few
	// enough that their values stay in the first cache. They are counted from the
	// tensor's first, so that sums do not depend on how it is cut.
	blockElements = 4096
	// scratchBytes is what a worker makes of a piece: codes, values and weights.
	scratchBytes = 3 * partBytes
)

// check looks at the bytes of one tensor.
type check interface {
	// piece is called with all bytes of the tensor, in order and once, at being
	// the offset of the first; of a tensor without bytes once with none. All calls
	// for a tensor come from one goroutine.
	piece(ctx context.Context, w *worker, p []byte, at int64) error
	// found are pointers to all that is known when the last piece was seen, of types
	// that records have (see encode).
	found() []any
}

// job is a tensor and what is to be looked for in it.
type job struct {
	tensor *plan.Tensor
	checks []check
	step   int64 // bytes of a piece

	// base, if set, is read along: per bytes of it for each unit bytes of the tensor.
	base      *baseline
	unit, per int64
}

func newJob(t *plan.Tensor) *job { return &job{tensor: t, step: pieceBytes, unit: 1} }

// wholeRows makes pieces whole rows of an FP8 matrix, after against. It reports whether
// bandBytes hold one.
func (j *job) wholeRows(cols int64) bool {
	each := max(j.per, 1)
	if cols*each > bandBytes {
		return false
	}
	j.step = max(writtenBytes/each/max(cols, 1), 1) * cols
	return true
}

// beside is how many bytes of the baseline belong to n of the tensor.
func (j *job) beside(n int64) int64 { return n / j.unit * j.per }

// read is what is read along with n bytes of the tensor, those included.
func (j *job) read(n int64) int64 { return n + j.beside(n) }

// against adds a check that looks at a piece of a baseline beside each of the tensor's,
// element by element.
func (j *job) against(b *baseline, c check) {
	j.checks, j.base = append(j.checks, c), b
	mine, other := j.tensor.DType.Bits(), b.view().DType.Bits()
	if other > mine { // both pieces have to fit
		j.step = pieceBytes / other * mine
	}
	if j.unit, j.per = mine/8, other/8; mine < 8 { // then the other's are alike, and bytes are compared
		j.unit, j.per = 1, 1
	}
}

// bands makes pieces whole rows of 128×128 tiles of an FP8 matrix of the given
// shape, after against: as many as some bytes hold, one at least. It reports whether
// bandBytes hold one.
func (j *job) bands(rows, cols, bytes int64) bool {
	band, each := min(rows, fp8.Tile)*cols, j.per
	if band*each > bandBytes {
		return false
	}
	if band > 0 {
		j.step = max(bytes/each/band, 1) * band
	}
	return true
}

// memory is what a piece takes.
func (j *job) memory() int64 {
	n := min(j.step, j.tensor.Source.Bytes())
	return room(n) + room(j.beside(n))
}

// worker is the memory of one goroutine.
type worker struct {
	piece *piece          // that is looked at
	got   []byte          // a block of the tensor as float32 or of what it should be
	want  []byte          // a block of the baseline as float32; both last from piece to piece
	codes []byte          // what the baseline becomes when it is quantized
	tiles []fp8.TileStats // the same
	hash  *blake3.Hasher

	values, weights []byte // rows of codes, and of what they were made from, as float32
}

func newWorker(two bool) *worker {
	w := &worker{hash: blake3.New()}
	if two {
		w.got = make([]byte, 8*blockElements)
		w.want = make([]byte, 4*blockElements)
	}
	return w
}

// grown returns buf, or a larger one if that has no room for n.
func grown[T any](buf []T, n int64) []T {
	if int64(len(buf)) < n {
		return make([]T, n)
	}
	return buf
}

// run does the jobs of a checkpoint's tensors, in the order in which they lie in
// its files.
func run(ctx context.Context, in *source.Files, jobs []*job, o Options) error {
	var total, before int64
	two := false
	var left []*job
	first, last := o.share(jobs)
	for i, j := range jobs {
		done := o.recorded(j)
		mine := first <= i && i < last
		n := j.read(j.tensor.Source.Bytes())
		if done && mine {
			before += n
		}
		if mine {
			total += n
		}
		switch {
		case done || !mine:
		case o.Recorded:
			return invalid.Errorf("tensor %q: the parts have nothing of it: they are of another version of quern", j.tensor.Name)
		default:
			left, two = append(left, j), two || j.base != nil
		}
	}
	jobs = left
	workers, pieces := o.divide(jobs)
	var next, done atomic.Int64
	take := func() *job {
		if i := int(next.Add(1)) - 1; i < len(jobs) {
			return jobs[i]
		}
		return nil
	}
	if done.Store(before); before > 0 && o.Begun != nil {
		o.Begun(before, total)
	}
	progress := func(n int64) {
		if sum := done.Add(n); o.Progress != nil {
			o.Progress(sum, total)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		r := newReader(in, take, pieces)
		g.Go(func() error {
			r.run(ctx)
			return nil
		})
		g.Go(func() error { return newWorker(two).run(ctx, r, progress, o) })
	}
	return g.Wait()
}

// divide says how many workers there are and how many pieces each has: one that is looked
// at and one that is read meanwhile. Where the memory is too little for that it is one,
// then there are fewer workers. Half of the memory is left to the collector's slack.
func (o *Options) divide(jobs []*job) (workers, pieces int) {
	workers = o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	workers = min(workers, max(len(jobs), 1))
	if o.Memory <= 0 {
		return workers, 2
	}
	var largest int64
	for _, j := range jobs {
		largest = max(largest, j.memory())
	}
	if int64(workers)*(2*largest+scratchBytes) <= o.Memory/2 {
		return workers, 2
	}
	return int(max(min(int64(workers), o.Memory/2/(largest+scratchBytes)), 1)), 1
}

// run looks at what the reader has read until there is no more.
func (w *worker) run(ctx context.Context, r *reader, progress func(int64), o Options) error {
	for {
		p, err := r.take(ctx)
		if p == nil {
			return err
		}
		w.piece = p
		for _, c := range p.job.checks {
			if err := c.piece(ctx, w, p.bytes, p.at); err != nil {
				return err
			}
		}
		progress(p.job.read(int64(len(p.bytes))))
		if p.last() {
			o.Records.Put(o.recordName(p.job), encode(p.job.checks))
		}
		r.free <- p
	}
}
