package engine

import (
	"context"
	"fmt"
	"io"
	"math"

	"quern/convert/plan"
	"quern/fp8"
	"quern/internal/blake3"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/scheme"
	"quern/store"
)

// newJob prepares the making of tensor i of the plan, and of the scales that come with
// it, at the offsets of shard s.
func (e *engine) newJob(s *shard, i int, at map[int]int64) (*job, error) {
	t := &e.plan.Tensors[i]
	j := &job{shard: s, tensor: t, index: i, geo: cut(t, e.mem)}
	j.expect()
	list := []int{i}
	if t.Op.Quantizes() {
		var err error
		if list, err = e.plan.Outputs(i); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	for n, k := range list {
		o := output{tensor: &e.plan.Tensors[k], offset: at[k]}
		if n < len(j.geo.outputs) {
			o.layout = j.geo.outputs[n]
		}
		j.outs = append(j.outs, o)
	}
	return j, nil
}

// feed deals the inputs of a shard's jobs, in order, to memory, and has them read. It
// waits when none is free.
func (e *engine) feed(ctx context.Context, s *shard) error {
	if len(s.jobs) == 0 { // cannot be: Pack makes no empty shard
		close(s.whole)
	}
	if err := e.survey(ctx, s); err != nil {
		return err
	}
	open := map[string]*held{}
	for _, j := range s.jobs {
		if n := s.holdable[j.tensor.Quant.Survey]; n > 0 && j.tensor.Op.Quantizes() {
			h := open[j.tensor.Quant.Survey]
			if h == nil {
				var err error
				if h, err = e.hold(ctx, j.tensor.Quant.Survey, n); err != nil {
					return err
				}
				open[h.name] = h
			}
			j.held = h
		}
		if err := e.begin(j); err != nil {
			return err
		}
		if j.geo.chunks == 0 { // a constant, or a tensor without elements
			if err := e.conclude(j); err != nil {
				return err
			}
			continue
		}
		if err := e.feedJob(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// feedJob deals the input of a job. What lies on this machine goes to the readers,
// other input is read from front to back, here: its store reads ahead.
func (e *engine) feedJob(ctx context.Context, j *job) error {
	file := j.tensor.Source.File
	if _, err := e.input(file); err != nil {
		return err
	}
	for k := range j.geo.chunks {
		slab, err := e.ins.take(ctx)
		if err != nil {
			return err
		}
		c := &chunk{job: j, k: k, span: j.geo.span(k), slab: slab, ready: make(chan struct{})}
		e.work <- c // never waits: there is room for all
		if !e.here[file] {
			if err := e.fetch(c); err != nil {
				return err
			}
			continue
		}
		select {
		case e.reads <- c:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// reader reads chunks until there are no more.
func (e *engine) reader(ctx context.Context) error {
	for {
		select {
		case c, ok := <-e.reads:
			if !ok {
				return nil
			}
			if err := e.fetch(c); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// fetch reads a chunk for whoever waits for it.
func (e *engine) fetch(c *chunk) error {
	in, err := e.input(c.job.tensor.Source.File)
	if err != nil {
		return err
	}
	if at, n := c.lies(); n > 0 && !e.ahead && store.Cached(in, e.place(&c.job.tensor.Source, at), n) {
		c.near = in
	} else if err := e.read(in, c); err != nil {
		return err
	}
	close(c.ready)
	return nil
}

// begin gives a job what it needs while it is under way. Not before: that is
// much, and a shard may have many jobs.
func (e *engine) begin(j *job) error {
	j.parked = map[int]*chunk{}
	for n := range j.outs {
		j.outs[n].hash = blake3.New()
	}
	if !j.tensor.Op.Quantizes() {
		return nil
	}
	t := j.tensor
	s, err := scheme.Find(t.Quant.Scheme)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	if t.Op == plan.Recast {
		from := ""
		if t.Written != nil {
			from = t.Written.Scheme
		}
		if j.cast, err = scheme.NewCasting(from, s.Name, t.Quant.Params, j.geo.rows, j.geo.cols, e.largest[t.Quant.Survey]); err != nil {
			return e.blame(t, "%v", err)
		}
		return nil
	}
	start := scheme.Job{Params: t.Quant.Params, Rows: j.geo.rows, Cols: j.geo.cols, Amax: e.largest[t.Quant.Survey], Tiles: e.tiles}
	if weighted(*t) {
		if start.Channels, err = e.channels(j); err != nil {
			return err
		}
	}
	if j.coder, err = s.Coder(&start); err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	return nil
}

// tiles quantizes by tiles on the device.
func (e *engine) tiles(codes []byte, codeStride int, tiles []fp8.TileStats, m fp8.Matrix, o fp8.Options) error {
	return e.opts.Device.Quantize(codes, codeStride, tiles, m, o).Wait()
}

// channels are what weighs the columns of a weighted search.
func (e *engine) channels(j *job) ([]float32, error) {
	module := j.tensor.Quant.Channels
	squares, ok := e.opts.Channels(module)
	switch {
	case !ok:
		return nil, invalid.Errorf("calibration: the mean squares of module %q are gone", module)
	case int64(len(squares)) != j.geo.cols:
		return nil, invalid.Errorf("calibration: module %q has %d input channels, the weight %q has %d columns", module, len(squares), j.tensor.Name, j.geo.cols)
	}
	for i, x := range squares {
		if !(x >= 0 && x <= math.MaxFloat32) {
			return nil, invalid.Errorf("calibration: the mean square of input channel %d of module %q is %v", i, module, x)
		}
	}
	return squares, nil
}

// weighted reports whether t's scales are searched with channel weights.
func weighted(t plan.Tensor) bool { return t.Op.Quantizes() && t.Quant.Search == fp8.SearchWeighted }

// read fills a chunk from its input file, and what else its codes need.
func (e *engine) read(in store.Object, c *chunk) error {
	t, g := c.job.tensor, &c.job.geo
	if g.linear {
		at := c.span.first * g.in
		c.in, _ = blockio.Fit(c.slab, e.place(&t.Source, at), c.span.n*g.in)
		return e.readView(in, &t.Source, c.in, at)
	}
	offset, _, _, _ := g.sources[0].Place(c.span.Part, g.cols)
	var rest []byte
	c.in, rest = blockio.Fit(c.slab, e.place(&t.Source, offset), g.sources[0].Size(c.span.Part))
	take := func(n int64) (p []byte) {
		p, rest = rest[:n], rest[n:]
		return p
	}
	if h := c.job.held; h != nil && c.job.survey == nil {
		h.get(c)
		e.again.Add(int64(len(c.in)))
		return nil
	}
	if err := e.readPart(in, &t.Source, &g.sources[0], c.in, c); err != nil {
		return err
	}
	if c.job.held != nil {
		c.job.held.put(c)
	}
	if t.Grid != nil {
		return e.readGrid(c)
	}
	for n := range g.sources[1:] {
		v, lay := &t.Written.Scales[n], &g.sources[n+1]
		file, err := e.input(v.File)
		if err != nil {
			return err
		}
		var p []byte
		if lay.Whole() {
			p = make([]byte, v.Bytes())
			err = e.readView(file, v, p, 0)
		} else {
			p = take(lay.Size(c.span.Part))
			err = e.readPart(file, v, lay, p, c)
		}
		if err != nil {
			return err
		}
		c.more = append(c.more, p)
	}
	return nil
}

// readPart reads the part of a view that a chunk of a matrix covers.
func (e *engine) readPart(in store.Object, v *plan.View, lay *scheme.Output, p []byte, c *chunk) error {
	for at, n := range lay.Runs(c.span.Part, c.job.geo.cols) {
		if err := e.readView(in, v, p[:n], at); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// readView reads view v from byte at on, whatever order its slabs are to have.
func (e *engine) readView(in store.Object, v *plan.View, p []byte, at int64) error {
	data := e.plan.Input.Files[v.File].Data
	return v.Read(p, at, func(p []byte, off int64) error { return e.readAt(in, v, p, data+off) })
}

// place is where byte at of a view lies in its file.
func (e *engine) place(v *plan.View, at int64) int64 {
	return e.plan.Input.Files[v.File].Data + v.Place(at)
}

// readAt reads a piece of view v and forgets its cached pages where the job is
// too large to leave them to others.
func (e *engine) readAt(in store.Object, v *plan.View, p []byte, off int64) error {
	if err := blockio.ReadFull(in, p, off); err != nil {
		if err == io.ErrUnexpectedEOF {
			return invalid.Errorf("reading %q: tensor %q: the file became shorter while it was read", e.plan.Input.Files[v.File].Name, v.Name)
		}
		return fmt.Errorf("reading %q: tensor %q: %w", e.opts.Sources[v.File].Path, v.Name, err)
	}
	if e.drop && v.Stride == 0 { // of a view with a stride the next chunk needs the same pages
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
	first, rows := g.Row(c.span.Row, c.job.geo.rows), c.job.geo.rows
	n := g.Row(c.span.Row+c.span.Rows-1, rows) - first + 1
	col := c.span.Col / g.TileCols
	width := (c.span.Col+c.span.Cols-1)/g.TileCols - col + 1
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
	row0 := c.span.Row
	c.grid = &fp8.Grid{
		Scales: scales, Rows: int(n), Cols: int(width), TileRows: int(g.TileRows), TileCols: int(g.TileCols),
		RowOf: func(r int) int { return int(g.Row(row0+int64(r), rows) - first) },
		Col0:  int(c.span.Col - col*g.TileCols),
	}
	return nil
}

// widen decodes scales of any known dtype, exactly, and refuses those that are
// no scales: zero, negative, infinite or NaN. first is the index of dst[0] in
// the tensor, for the message.
func widen(dst []float32, raw []byte, v *plan.View, first int64) error {
	if !scheme.ScaleType(v.DType) || !scheme.Floats(dst, raw, v.DType) {
		return invalid.Errorf("tensor %q: scales of dtype %s are not known", v.Name, v.DType)
	}
	for i, x := range dst {
		if !(x > 0) || x > math.MaxFloat32 {
			return invalid.Errorf("tensor %q: scale %v at index %d is not positive and finite", v.Name, x, first+int64(i))
		}
	}
	return nil
}
