package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/fp8"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/scheme"
	"quern/store"
)

// next is the next chunk, when it has been read; nil behind the last one. Workers take
// chunks, and memory for what is made of them, in the order of the input, whatever order
// they are read in: so there is memory for the one that the others' digests wait for, and
// one worker finds the first fault first.
func (e *engine) next(ctx context.Context) (*chunk, error) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var c *chunk
	select {
	case c = <-e.work:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c == nil {
		return nil, nil
	}
	select {
	case <-c.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var err error
	if !c.job.asks() && !c.stays() {
		c.room, err = e.outs.take(ctx)
	}
	return c, err
}

// worker transforms chunks until there are no more.
func (e *engine) worker(ctx context.Context) error {
	scratch := make([]byte, e.mem.scratch)
	for {
		c, err := e.next(ctx)
		if c == nil || err != nil {
			return err
		}
		if c.job.asks() {
			if err := e.pass(c, scratch, func(p *chunk) error { return e.inquire(p, scratch) }); err != nil {
				return err
			}
			e.count(c)
			e.forget(c)
			c.job.survey.done()
			continue
		}
		c.lay()
		fed := c.near != nil && c.job.claim(c) // to the hashes, piece by piece
		err = e.pass(c, scratch, func(p *chunk) error {
			err := e.transform(p, scratch)
			if err == nil && fed {
				c.job.feed(p.outs)
			}
			return err
		})
		if err != nil {
			return err
		}
		e.count(c)
		if c.room != nil {
			e.forget(c)
		}
		c.uses.Store(1)
		hashed := c.job.hashed() // before it is written: the job may be complete then
		if hashed {
			c.uses.Store(2)
		}
		e.made <- c // never waits: there is room for all
		if hashed && c.job.deliver(c, fed, e.release) {
			if err := e.conclude(c.job); err != nil {
				return err
			}
		}
	}
}

// writer writes chunks until there are no more: while it waits for a disk, the workers
// go on.
func (e *engine) writer(ctx context.Context) error {
	for {
		var c *chunk
		select {
		case c = <-e.made:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if c == nil {
			return nil
		}
		j := c.job
		if err := e.write(c); err != nil {
			return err
		}
		e.release(c)
		if j.done() {
			if err := e.conclude(j); err != nil {
				return err
			}
		}
	}
}

// release counts a use of what was made of a chunk, and gives its memory back behind the
// last one.
func (e *engine) release(c *chunk) {
	switch {
	case c.uses.Add(-1) > 0:
	case c.room != nil:
		e.outs.give(c.room)
	default:
		e.forget(c)
	}
}

// forget gives back the memory of a chunk's input.
func (e *engine) forget(c *chunk) {
	e.ins.give(c.slab)
	c.slab, c.in = nil, nil
}

// bytes is how much of the source a chunk is.
func (c *chunk) bytes() int64 {
	if c.near != nil {
		_, n := c.lies()
		return n
	}
	return int64(len(c.in))
}

// count tells of a chunk that is done.
func (e *engine) count(c *chunk) {
	done := e.done.Add(c.bytes())
	if e.opts.Progress != nil {
		e.opts.Progress(e.before+done, e.before+e.total)
	}
}

// transform makes what is to be written of a chunk.
func (e *engine) transform(c *chunk, scratch []byte) error {
	t := c.job.tensor
	switch t.Op {
	case plan.Copy:
		if &c.outs[0][0] != &c.in[0] {
			copy(c.outs[0], c.in)
		}
		return e.checkCopy(c)
	case plan.Cast:
		from, _ := plan.Elem(t.Source.DType)
		if n, _ := fp8.CountNonFinite(c.in, from); n > 0 {
			return e.nonFinite(c.job)
		}
		if n, _ := fp8.CastBF16(c.outs[0], c.in, from); n > 0 {
			return e.beyond(c.job)
		}
	case plan.Widen:
		scales := make([]float32, c.span.n)
		if err := widen(scales, c.in, &t.Source, c.span.first); err != nil {
			return fmt.Errorf("reading %q: %w", e.plan.Input.Files[t.Source.File].Name, err)
		}
		putFloats(c.outs[0], scales)
	case plan.Dequantize:
		if err := e.decode(c, c.outs[0], fp8.ElemBF16); err != nil {
			return err
		}
		if err := e.checkProducts(c); err != nil {
			return err
		}
		if c.grid != nil {
			e.large.look(t.Name, c.grid.Scales, c.outs[0])
		}
	case plan.Quantize:
		from, _ := plan.Elem(t.Source.DType)
		return e.code(c, c.in, from)
	case plan.Requantize:
		wide := scratch[:4*c.span.Rows*c.span.Cols]
		if err := e.decode(c, wide, fp8.ElemF32); err != nil {
			return err
		}
		return e.code(c, wide, fp8.ElemF32)
	case plan.Recast:
		return e.recast(c, scratch[:4*c.span.Rows*c.span.Cols])
	default:
		return fmt.Errorf("tensor %q: the engine knows no %s", t.Name, t.Op)
	}
	return nil
}

// decode writes the values of a chunk of codes.
func (e *engine) decode(c *chunk, dst []byte, to fp8.Elem) error {
	t, rows, cols := c.job.tensor, int(c.span.Rows), int(c.span.Cols)
	var err error
	if t.Written != nil {
		var s *scheme.Scheme
		if s, err = scheme.Find(t.Written.Scheme); err == nil {
			err = s.Decode(t.Written.Params, dst, cols, to, append([][]byte{c.in}, c.more...), c.span.Part)
		}
	} else {
		if n, _ := fp8.CountNaNCodes(c.in); n > 0 {
			return e.nanCodes(c.job)
		}
		err = fp8.Dequantize(dst, cols, to, c.in, cols, rows, cols, *c.grid)
	}
	if err != nil {
		return e.blame(t, "%v", err)
	}
	return nil
}

// stays reports whether what was read is what is to be written, and lies in memory as
// that has to.
func (c *chunk) stays() bool {
	return c.job.tensor.Op == plan.Copy && c.near == nil && blockio.Fits(c.in, c.place())
}

// place is where the first output of a chunk lies in its file.
func (c *chunk) place() int64 {
	g, o := &c.job.geo, &c.job.outs[0]
	if g.linear {
		return o.offset + c.span.first*g.out
	}
	for at := range o.layout.Runs(c.span.Part, g.cols) {
		return o.offset + at
	}
	return o.offset
}

// lay divides the room among the outputs of a chunk. The first one lies in memory as in
// the file.
func (c *chunk) lay() {
	g := &c.job.geo
	switch {
	case c.stays():
		c.outs = [][]byte{c.in}
		return
	case g.linear:
		p, _ := blockio.Fit(c.room, c.place(), c.span.n*g.out)
		c.outs = [][]byte{p}
		return
	}
	p, rest := blockio.Fit(c.room, c.place(), g.outputs[0].Size(c.span.Part))
	c.outs = [][]byte{p}
	for n := range g.outputs[1:] {
		size := g.outputs[1+n].Size(c.span.Part)
		c.outs, rest = append(c.outs, rest[:size]), rest[size:]
	}
}

// recast fills c.outs with codes and scales that stand for the values of those that were
// read, and proves it. before is room for the values.
func (e *engine) recast(c *chunk, before []byte) error {
	t := c.job.tensor
	if err := e.decode(c, before, fp8.ElemF32); err != nil {
		return err
	}
	if n, at := fp8.CountNonFinite(before, fp8.ElemF32); n > 0 {
		return e.blame(t, "the value at row %d, column %d of its matrix of %d×%d is not finite", c.span.Row+at/c.span.Cols, at%c.span.Cols, c.job.geo.rows, c.job.geo.cols)
	}
	proof, err := c.job.cast.Code(c.outs, append([][]byte{c.in}, c.more...), c.grid, before, c.span.Part)
	switch {
	case err != nil:
		return e.blame(t, "%v", err)
	case t.Quant.Lossless && !proof.Lossless():
		f, to := proof.First, cmp.Or(t.Quant.Scheme, scheme.BlockFP8.Name)
		return e.blame(t, "%d of %d groups from row %d on would change, first that of row %d, columns %d to %d: its scale is %d powers of two below the largest one that shares a scale in %s, and %d are exact; leave --lossless out to have them rounded, or take mxfp8, which holds all",
			proof.Changed, proof.Groups, c.span.Row, c.span.Row+int64(f.Row), c.span.Col+int64(32*f.Group), c.span.Col+int64(32*f.Group+31), f.Below, to, f.Reach)
	}
	return nil
}

// code fills c.outs with codes and scales.
func (e *engine) code(c *chunk, data []byte, from fp8.Elem) error {
	cols := int(c.span.Cols)
	m := fp8.Matrix{Data: data, Elem: from, Rows: int(c.span.Rows), Cols: cols, Stride: cols}
	err := c.job.coder.Code(c.outs, c.span.Part, m)
	switch {
	case errors.Is(err, scheme.ErrNonFinite):
		return e.nonFinite(c.job)
	case err != nil:
		return fmt.Errorf("tensor %q: %w", c.job.tensor.Name, err)
	}
	return nil
}

// checkCopy refuses copies that carry NaN or infinity, or NaN codes.
func (e *engine) checkCopy(c *chunk) error {
	t := c.job.tensor
	if !t.Finite {
		return nil
	}
	if from, ok := plan.Elem(t.DType); ok {
		if n, _ := fp8.CountNonFinite(c.in, from); n > 0 {
			return e.nonFinite(c.job)
		}
	} else if t.Coded() {
		if n, _ := fp8.CountNaNCodes(c.in); n > 0 {
			return e.nanCodes(c.job)
		}
	}
	return nil
}

// checkProducts refuses weights that times their scale are beyond BF16's
// range. Only scales that are absurd can lead there.
func (e *engine) checkProducts(c *chunk) error {
	const largest = 0x1.fep127 / 448 // BF16's largest number over E4M3's
	if c.grid != nil && slices.Max(c.grid.Scales) < largest {
		return nil
	}
	n, at := fp8.CountNonFinite(c.outs[0], fp8.ElemBF16)
	if n == 0 {
		return nil
	}
	row, col := c.span.Row+at/c.span.Cols, c.span.Col+at%c.span.Cols
	if c.grid == nil {
		return e.blame(c.job.tensor, "the value at row %d, column %d of its matrix of %d×%d is not finite, or beyond BF16's range", row, col, c.job.geo.rows, c.job.geo.cols)
	}
	return e.blame(c.job.tensor, "the code at row %d, column %d of %v times its scale in %q is beyond BF16's range", row, col, c.job.tensor.Source.Shape, c.job.tensor.Scale.Name)
}

// write puts what was made of a chunk into the shard's file.
func (e *engine) write(c *chunk) error {
	j, g := c.job, &c.job.geo
	f := j.shard.file
	put := func(p []byte, off int64) error {
		if err := blockio.WriteFull(f, p, off); err != nil {
			return fmt.Errorf("writing %q: %w", f, err)
		}
		return e.window.wrote(f, off, int64(len(p)))
	}
	if g.linear {
		return put(c.outs[0], c.place())
	}
	for n, p := range c.outs {
		o := &j.outs[n]
		if o.layout.Whole() {
			continue // see conclude
		}
		for at, n := range o.layout.Runs(c.span.Part, g.cols) {
			if err := put(p[:n], o.offset+at); err != nil {
				return err
			}
			p = p[n:]
		}
	}
	return nil
}

// conclude records a job whose chunks are all written.
func (e *engine) conclude(j *job) error {
	var results []manifest.Tensor
	for n := range j.outs {
		o := &j.outs[n]
		switch {
		case o.tensor.Op == plan.Constant:
			if err := e.put(o, j.shard.file, constant(o.tensor)); err != nil {
				return err
			}
		case j.cast != nil && o.layout.Whole():
			if err := e.put(o, j.shard.file, j.cast.Whole(n)); err != nil {
				return err
			}
		case j.coder != nil && o.layout.Whole():
			if err := e.put(o, j.shard.file, j.coder.Whole(n)); err != nil {
				return err
			}
		case j.geo.wide():
			if err := e.hashBack(o, j.shard.file); err != nil {
				return err
			}
		}
		t := o.tensor
		results = append(results, manifest.Tensor{Name: t.Name, File: j.shard.plan.Name, DType: t.DType, Shape: t.Shape, BLAKE3: sum(o.hash), Uncovered: t.Uncovered})
	}
	if j.coder != nil {
		results[0].Error = quality(j.coder.Stats())
	}
	if j.cast != nil {
		proof, stats := j.cast.Result()
		results[0].Error = quality(stats)
		results[0].Cast = &manifest.Cast{Groups: proof.Groups, Requantized: proof.Requantized, Changed: proof.Changed}
	}
	if j.held != nil {
		j.held.done()
	}
	j.outs, j.parked, j.coder, j.cast, j.held = nil, nil, nil, nil, nil
	j.shard.complete(results...)
	return nil
}

// constant is the bytes of a constant.
func constant(t *plan.Tensor) []byte {
	raw := make([]byte, t.Bytes())
	for i := range len(raw) / 4 {
		putFloats(raw[4*i:], []float32{t.Value})
	}
	return raw
}

// put writes all of an output.
func (e *engine) put(o *output, f store.Part, raw []byte) error {
	if int64(len(raw)) != o.tensor.Bytes() {
		return fmt.Errorf("tensor %q: %d bytes were made for %d", o.tensor.Name, len(raw), o.tensor.Bytes())
	}
	o.hash.Write(raw)
	if err := blockio.WriteFull(f, raw, o.offset); err != nil {
		return fmt.Errorf("writing %q: %w", f, err)
	}
	return nil
}

// hashBack takes the digest of an output whose chunks were not contiguous, from
// the file.
func (e *engine) hashBack(o *output, f store.Part) error {
	buf := blockio.Buffer(minSlab + blockio.Slack())
	for off, end := o.offset, o.offset+o.tensor.Bytes(); off < end; off += minSlab {
		p, _ := blockio.Fit(buf, off, min(minSlab, end-off))
		if err := blockio.ReadFull(f, p, off); err != nil {
			return fmt.Errorf("reading %q back: %w", f, err)
		}
		o.hash.Write(p)
	}
	return nil
}

func putFloats(dst []byte, src []float32) {
	for i, x := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(x))
	}
}

// blame is an error that names the tensor and the file it was read from.
func (e *engine) blame(t *plan.Tensor, format string, args ...any) error {
	return invalid.Errorf("reading %q: tensor %q: %s", e.plan.Input.Files[t.Source.File].Name, t.Source.Name, fmt.Sprintf(format, args...))
}
