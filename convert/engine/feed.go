package engine

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/zeebo/blake3"

	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/blockio"
	"quern/internal/invalid"
)

// newJob prepares the making of tensor i of the plan at offset of shard s.
func (e *engine) newJob(s *shard, t *plan.Tensor, i int, offset int64) *job {
	j := &job{shard: s, tensor: t, index: i, offset: offset, geo: cut(t, e.mem)}
	j.left = j.geo.chunks
	return j
}

// feed reads the inputs of a shard's jobs, in order, and hands the chunks to
// the workers. It waits when no slab is free.
func (e *engine) feed(ctx context.Context, s *shard) error {
	if len(s.jobs) == 0 { // cannot be: Pack makes no empty shard
		close(s.whole)
	}
	for _, j := range s.jobs {
		if err := e.begin(j); err != nil {
			return err
		}
		if j.geo.chunks == 0 { // a constant, or a tensor without elements
			if err := e.conclude(j); err != nil {
				return err
			}
			continue
		}
		in, err := e.input(j.tensor.Source.File)
		if err != nil {
			return err
		}
		for k := range j.geo.chunks {
			var sl *slab
			select {
			case sl = <-e.free:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			c := &chunk{job: j, k: k, span: j.geo.span(k), slab: sl}
			if err := e.read(in, c); err != nil {
				return err
			}
			select {
			case e.work <- c:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// begin gives a job what it needs while it is under way. Not before: that is
// much, and a shard may have many jobs.
func (e *engine) begin(j *job) error {
	j.hash, j.parked = blake3.New(), map[int]*chunk{}
	if !j.tensor.Op.Quantizes() {
		return nil
	}
	j.tiles = make([]fp8.TileStats, ceilDiv(j.geo.rows, fp8.Tile)*ceilDiv(j.geo.cols, fp8.Tile))
	if !weighted(*j.tensor) {
		return nil
	}
	module := j.tensor.Quant.Channels
	squares, ok := e.opts.Channels(module)
	switch {
	case !ok:
		return invalid.Errorf("calibration: the mean squares of module %q are gone", module)
	case int64(len(squares)) != j.geo.cols:
		return invalid.Errorf("calibration: module %q has %d input channels, the weight %q has %d columns", module, len(squares), j.tensor.Name, j.geo.cols)
	}
	for i, x := range squares {
		if !(x >= 0 && x <= math.MaxFloat32) {
			return invalid.Errorf("calibration: the mean square of input channel %d of module %q is %v", i, module, x)
		}
	}
	j.channels = squares
	return nil
}

// weighted reports whether t's scales are searched with channel weights.
func weighted(t plan.Tensor) bool { return t.Op.Quantizes() && t.Quant.Search == fp8.SearchWeighted }

// read fills a chunk from its input file.
func (e *engine) read(in blockio.File, c *chunk) error {
	v, g := &c.job.tensor.Source, &c.job.geo
	if g.linear || c.span.cols == g.cols {
		first, n := c.span.first, c.span.n
		if !g.linear {
			first, n = c.span.row*g.cols, c.span.rows*g.cols
		}
		c.in = c.slab.in[:n*g.in]
		if err := e.readView(in, v, c.in, first*g.in); err != nil {
			return err
		}
	} else {
		width := c.span.cols * g.in
		c.in = c.slab.in[:c.span.rows*width]
		for r := range c.span.rows {
			off := ((c.span.row+r)*g.cols + c.span.col) * g.in
			if err := e.readView(in, v, c.in[r*width:(r+1)*width], off); err != nil {
				return err
			}
		}
	}
	if c.job.tensor.Grid != nil {
		return e.readGrid(c)
	}
	return nil
}

// readView reads view v from byte at on, whatever order its slabs are to have.
func (e *engine) readView(in blockio.File, v *plan.View, p []byte, at int64) error {
	data := e.plan.Input.Files[v.File].Data
	for off, n := range v.Runs(at, int64(len(p))) {
		if err := e.readAt(in, v, p[:n], data+off); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// readAt reads a piece of view v and forgets its cached pages where the job is
// too large to leave them to others.
func (e *engine) readAt(in blockio.File, v *plan.View, p []byte, off int64) error {
	if err := blockio.ReadFull(in, p, off); err != nil {
		if err == io.ErrUnexpectedEOF {
			return invalid.Errorf("reading %q: tensor %q: the file became shorter while it was read", e.plan.Input.Files[v.File].Name, v.Name)
		}
		return fmt.Errorf("reading %q: tensor %q: %w", e.opts.Sources[v.File].Path, v.Name, err)
	}
	if e.drop {
		in.Drop(off, int64(len(p)))
	}
	return nil
}

// readGrid reads the part of the scale tensor that a chunk needs.
func (e *engine) readGrid(c *chunk) error {
	t := c.job.tensor
	g, v := t.Grid, t.Scale
	in, err := e.input(v.File)
	if err != nil {
		return err
	}
	first, rows := g.Row(c.span.row, c.job.geo.rows), c.job.geo.rows
	n := g.Row(c.span.row+c.span.rows-1, rows) - first + 1
	col := c.span.col / g.TileCols
	width := (c.span.col+c.span.cols-1)/g.TileCols - col + 1
	size := v.DType.Bits() / 8
	raw, scales := make([]byte, width*size), make([]float32, n*width)
	base := e.plan.Input.Files[v.File].Data + v.Offset
	step := width
	if width == g.Cols { // whole rows lie together
		raw, step = make([]byte, n*width*size), n*width
	}
	for at := int64(0); at < n*width; at += step {
		index := (first+at/width)*g.Cols + col
		if err := e.readAt(in, v, raw, base+index*size); err != nil {
			return err
		}
		if err := widen(scales[at:at+step], raw, v, index); err != nil {
			return fmt.Errorf("reading %q: %w", e.plan.Input.Files[v.File].Name, err)
		}
	}
	row0 := c.span.row
	c.grid = &fp8.Grid{
		Scales: scales, Rows: int(n), Cols: int(width), TileRows: int(g.TileRows), TileCols: int(g.TileCols),
		RowOf: func(r int) int { return int(g.Row(row0+int64(r), rows) - first) },
		Col0:  int(c.span.col - col*g.TileCols),
	}
	return nil
}

// widen decodes scales of any known dtype, exactly, and refuses those that are
// no scales: zero, negative, infinite or NaN. first is the index of dst[0] in
// the tensor, for the message.
func widen(dst []float32, raw []byte, v *plan.View, first int64) error {
	for i := range dst {
		var x float32
		switch v.DType {
		case safetensors.F32:
			x = math.Float32frombits(uint32(raw[4*i]) | uint32(raw[4*i+1])<<8 | uint32(raw[4*i+2])<<16 | uint32(raw[4*i+3])<<24)
		case safetensors.BF16:
			x = fp8.BF16ToFloat32(uint16(raw[2*i]) | uint16(raw[2*i+1])<<8)
		case safetensors.F16:
			x = fp8.F16ToFloat32(uint16(raw[2*i]) | uint16(raw[2*i+1])<<8)
		case safetensors.F8E8M0, safetensors.U8: // U8 holds E8M0 bytes (MXFP8, formats.md §0)
			x = fp8.E8M0ToFloat32(raw[i])
		default:
			return invalid.Errorf("tensor %q: scales of dtype %s are not known", v.Name, v.DType)
		}
		if !(x > 0) || x > math.MaxFloat32 {
			return invalid.Errorf("tensor %q: scale %v at index %d is not positive and finite", v.Name, x, first+int64(i))
		}
		dst[i] = x
	}
	return nil
}
