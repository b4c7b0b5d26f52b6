package verify

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"

	"quern/convert/plan"
	"quern/fp8"
	"quern/internal/invalid"
	"quern/source"
)

const (
	// pieceBytes bounds what is read at once from either side.
	pieceBytes = 4 << 20
	// bandBytes bounds it where a piece has to hold a whole row of tiles: 131,072
	// columns of BF16. Down projections have the most: 18,432 in DeepSeek-V3, 53,248
	// in Llama 3.1 405B, 73,728 in Nemotron-4 340B.
	bandBytes = 8 * pieceBytes
	// blockElements are added up before they join the sum of the tensor: few
	// enough that their values stay in the first cache. They are counted from the
	// tensor's first, so that sums do not depend on how it is cut.
	blockElements = 4096
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
	other  int64 // bits of the baseline that are read for each element, 0 for none
}

func newJob(t *plan.Tensor) *job { return &job{tensor: t, step: pieceBytes} }

// wholeRows makes pieces whole rows of an FP8 matrix, after against. It reports whether
// bandBytes hold one.
func (j *job) wholeRows(cols int64) bool {
	each := max(j.other/8, 1)
	if cols*each > bandBytes {
		return false
	}
	j.step = max(min(pieceBytes, int64(writtenBytes))/each/max(cols, 1), 1) * cols
	return true
}

// read is what is read along with n bytes of the tensor, those included.
func (j *job) read(n int64) int64 { return n + n/(max(j.tensor.DType.Bits(), 8)/8)*j.other/8 }

// against adds a check that reads a piece of other beside each of the tensor's.
func (j *job) against(other *plan.View, c check) {
	j.checks = append(j.checks, c)
	j.other = other.DType.Bits()
	// Both pieces have to fit, element by element.
	if mine := j.tensor.DType.Bits(); j.other > mine {
		j.step = pieceBytes / j.other * mine
	}
	if mine := j.tensor.DType.Bits(); mine < 8 { // then the other's are alike, and bytes are compared
		j.other = 8
	}
}

// bands makes pieces whole rows of 128×128 tiles of an FP8 matrix of the given
// shape, after against. It reports whether bandBytes hold one.
func (j *job) bands(rows, cols int64) bool {
	band, each := min(rows, fp8.Tile)*cols, j.other/8
	if band*each > bandBytes {
		return false
	}
	if band > 0 {
		j.step = max(pieceBytes/each/band, 1) * band
	}
	return true
}

// worker is the memory of one goroutine.
type worker struct {
	buf   []byte          // a piece of the tensor
	other []byte          // the baseline's
	got   []byte          // a block of the tensor as float32 or of what it should be
	want  []byte          // a block of the baseline as float32; both last from piece to piece
	codes []byte          // what the baseline becomes when it is quantized
	tiles []fp8.TileStats // the same
	hash  *blake3.Hasher

	values, weights []byte // rows of codes, and of what they were made from, as float32
}

func newWorker(two bool) *worker {
	w := &worker{buf: make([]byte, pieceBytes), hash: blake3.New()}
	if two {
		w.other = make([]byte, pieceBytes)
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
			left, two = append(left, j), two || j.other > 0
		}
	}
	jobs = left
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next, done atomic.Int64
	if done.Store(before); before > 0 && o.Begun != nil {
		o.Begun(before, total)
	}
	g, ctx := errgroup.WithContext(ctx)
	for range min(workers, max(len(jobs), 1)) {
		g.Go(func() error {
			w := newWorker(two)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return nil
				}
				err := jobs[i].run(ctx, in, w, func(n int64) {
					if sum := done.Add(n); o.Progress != nil {
						o.Progress(sum, total)
					}
				})
				if err != nil {
					return err
				}
				o.Records.Put(o.recordName(jobs[i]), encode(jobs[i].checks))
			}
		})
	}
	return g.Wait()
}

// run hands the tensor to the checks, piece by piece.
func (j *job) run(ctx context.Context, in *source.Files, w *worker, progress func(int64)) error {
	v := &j.tensor.Source
	size := v.Bytes()
	w.buf, w.other = grown(w.buf, j.step), grown(w.other, j.read(j.step)-j.step)
	for at := int64(0); at == 0 || at < size; at += j.step {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		p := w.buf[:min(j.step, size-at)]
		if err := in.Read(v, p, at); err != nil {
			return err
		}
		for _, c := range j.checks {
			if err := c.piece(ctx, w, p, at); err != nil {
				return err
			}
		}
		progress(j.read(int64(len(p))))
	}
	return nil
}
