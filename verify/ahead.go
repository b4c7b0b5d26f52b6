package verify

import (
	"context"
	"sync"

	"quern/internal/blockio"
	"quern/source"
)

// piece is some bytes of a tensor with those of its baseline that belong to them. They
// are read before a worker looks at them; what went wrong then is told when it asks for
// them, so that errors come in the order in which tensors are looked at.
type piece struct {
	job   *job
	at    int64 // of the first byte in the tensor
	bytes []byte
	other []byte // of the baseline, to be filled where it has other codes

	err, otherErr error

	buf, otherBuf []byte // memory of both, as far as they were needed
}

// last reports whether the tensor ends with it.
func (p *piece) last() bool { return p.at+p.job.step >= p.job.tensor.Source.Bytes() }

// read fills the piece with the bytes of j from at on, from both sides at once.
func (p *piece) read(in *source.Files, j *job, at int64) {
	v := &j.tensor.Source
	n := min(j.step, v.Bytes()-at)
	*p = piece{job: j, at: at, buf: roomFor(p.buf, n), otherBuf: p.otherBuf}
	var other sync.WaitGroup
	if j.base != nil {
		p.otherBuf = roomFor(p.otherBuf, j.beside(n))
		p.other = p.otherBuf[:j.beside(n)]
		if j.base.written == nil {
			v, at := &j.base.tensor.Source, j.beside(at)
			p.other = j.base.files.Fit(p.otherBuf, v, at, j.beside(n))
			other.Go(func() { p.otherErr = j.base.files.Read(v, p.other, at) })
		}
	}
	p.bytes = in.Fit(p.buf, v, at, n)
	p.err = in.Read(v, p.bytes, at)
	other.Wait()
}

// bufferBytes is what buffers are multiples of: huge pages of most processors, see
// [blockio.Buffer]. Without them a disk was measured to be two thirds as fast.
const bufferBytes = 2 << 20

// roomFor returns b or a larger buffer, of which [source.Files.Fit] can take n bytes.
func roomFor(b []byte, n int64) []byte {
	if n = room(n); int64(len(b)) < n {
		return blockio.Buffer(int(n))
	}
	return b
}

// room is the size of a buffer for n bytes.
func room(n int64) int64 {
	return (n + int64(blockio.Slack()) + bufferBytes - 1) &^ (bufferBytes - 1)
}

// same are the baseline's bytes of a tensor that has the same dtype there.
func (p *piece) same() ([]byte, error) {
	if b := p.job.base; b.written != nil { // codes, to which nothing here belongs
		other := make([]byte, len(p.bytes))
		return other, b.files.Read(&b.tensor.Source, other, p.at)
	}
	return p.other, p.otherErr
}

// load returns n elements of the baseline from the first on, as baseline.load does: those
// that belong to the piece.
func (p *piece) load(first, n int64) ([]byte, patch, error) {
	b := p.job.base
	switch {
	case b.written != nil:
		return p.other, patch{}, b.written.load(p.other, first, n)
	case p.otherErr != nil:
		return nil, patch{}, p.otherErr
	}
	scales, err := b.patch(first, n)
	return p.other, scales, err
}

// floats are the same as float32, in scratch or in place.
func (p *piece) floats(scratch []byte, first, n int64) ([]byte, error) {
	raw, scales, err := p.load(first, n)
	if err != nil {
		return nil, err
	}
	return p.job.base.values(scratch, raw, first, scales)
}

// reader reads the pieces of a worker's jobs, one after the other, while the worker looks
// at those before.
type reader struct {
	in    *source.Files
	next  func() *job // nil: there are no more
	free  chan *piece // of the worker
	ready chan *piece // for it; closed when all are
}

func newReader(in *source.Files, next func() *job, pieces int) *reader {
	r := &reader{in: in, next: next, free: make(chan *piece, pieces), ready: make(chan *piece, pieces)}
	for range pieces {
		r.free <- new(piece)
	}
	return r
}

// run reads until there is no more, one piece cannot be read, or nobody wants them.
func (r *reader) run(ctx context.Context) {
	for j := r.next(); j != nil; j = r.next() {
		size := j.tensor.Source.Bytes()
		for at := int64(0); at == 0 || at < size; at += j.step {
			var p *piece
			select {
			case p = <-r.free:
			case <-ctx.Done():
				return
			}
			p.read(r.in, j, at)
			failed := p.err != nil // it is the worker's from now on
			if r.ready <- p; failed {
				return
			}
		}
	}
	close(r.ready)
}

// take waits for the next piece; nil says that there are no more.
func (r *reader) take(ctx context.Context) (*piece, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	select {
	case p := <-r.ready:
		if p != nil && p.err != nil {
			return nil, p.err
		}
		return p, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
