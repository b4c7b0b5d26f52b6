package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/blockio"
	"quern/internal/invalid"
)

// worker transforms chunks until there are no more.
func (e *engine) worker(ctx context.Context) error {
	scratch := make([]byte, e.mem.scratch)
	release := func(s *slab) { e.free <- s } // never waits: there is room for all
	for {
		var c *chunk
		var ok bool
		select {
		case c, ok = <-e.work:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if !ok {
			return nil
		}
		if err := e.transform(c, scratch); err != nil {
			return err
		}
		if err := e.write(c); err != nil {
			return err
		}
		done := e.done.Add(int64(len(c.in)))
		if e.opts.Progress != nil {
			e.opts.Progress(done, e.total)
		}
		if c.job.deliver(c, release) {
			if err := e.conclude(c.job); err != nil {
				return err
			}
		}
	}
}

// transform turns c.in into c.out.
func (e *engine) transform(c *chunk, scratch []byte) error {
	t := c.job.tensor
	switch t.Op {
	case plan.Copy:
		c.out = c.in
		return e.checkCopy(c)
	case plan.Cast:
		c.out = c.slab.out[:c.span.n*2]
		from, _ := plan.Elem(t.Source.DType)
		if n, _ := fp8.CountNonFinite(c.in, from); n > 0 {
			return e.nonFinite(c.job)
		}
		if n, _ := fp8.CastBF16(c.out, c.in, from); n > 0 {
			return e.beyond(c.job)
		}
	case plan.Widen:
		c.out = c.slab.out[:c.span.n*4]
		scales := make([]float32, c.span.n)
		if err := widen(scales, c.in, &t.Source, c.span.first); err != nil {
			return fmt.Errorf("reading %q: %w", e.plan.Input.Files[t.Source.File].Name, err)
		}
		putFloats(c.out, scales)
	case plan.Dequantize:
		if n, _ := fp8.CountNaNCodes(c.in); n > 0 {
			return e.nanCodes(c.job)
		}
		cols := int(c.span.cols)
		c.out = c.slab.out[:c.span.rows*c.span.cols*2]
		if err := fp8.Dequantize(c.out, cols, fp8.ElemBF16, c.in, cols, int(c.span.rows), cols, *c.grid); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if err := e.checkProducts(c); err != nil {
			return err
		}
		e.large.look(t.Name, c.grid.Scales, c.out)
	case plan.Quantize:
		from, _ := plan.Elem(t.Source.DType)
		return e.quantize(c, c.in, from)
	case plan.Requantize:
		if n, _ := fp8.CountNaNCodes(c.in); n > 0 {
			return e.nanCodes(c.job)
		}
		cols := int(c.span.cols)
		wide := scratch[:4*len(c.in)]
		if err := fp8.Dequantize(wide, cols, fp8.ElemF32, c.in, cols, int(c.span.rows), cols, *c.grid); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		return e.quantize(c, wide, fp8.ElemF32)
	default:
		return fmt.Errorf("tensor %q: the engine knows no %s", t.Name, t.Op)
	}
	return nil
}

// quantize fills c.out with codes and the job's tiles with what is known of
// them.
func (e *engine) quantize(c *chunk, data []byte, from fp8.Elem) error {
	t, s := c.job.tensor, c.span
	o := fp8.Options{Search: t.Quant.Search}
	if t.Quant.UE8M0 {
		o.ScaleFormat = fp8.ScaleUE8M0
	}
	if c.job.channels != nil {
		o.Weights = c.job.channels[s.col : s.col+s.cols]
	}
	c.out = c.slab.out[:s.rows*s.cols]
	across := ceilDiv(c.job.geo.cols, fp8.Tile)
	tiles := c.job.tiles[s.tileRow*across+s.tileCol:]
	if s.cols < c.job.geo.cols { // the chunk's tiles are not contiguous
		tiles = make([]fp8.TileStats, s.gridTileRows*s.tileCols)
	}
	tiles = tiles[:s.gridTileRows*s.tileCols]
	m := fp8.Matrix{Data: data, Elem: from, Rows: int(s.rows), Cols: int(s.cols), Stride: int(s.cols)}
	if err := e.opts.Device.Quantize(c.out, int(s.cols), tiles, m, o).Wait(); err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	for i := range tiles {
		if tiles[i].NonFinite {
			return e.nonFinite(c.job)
		}
	}
	if s.cols < c.job.geo.cols {
		for r := range s.gridTileRows {
			copy(c.job.tiles[(s.tileRow+r)*across+s.tileCol:], tiles[r*s.tileCols:(r+1)*s.tileCols])
		}
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
	} else if t.DType == safetensors.F8E4M3 {
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
	if slices.Max(c.grid.Scales) < largest {
		return nil
	}
	n, at := fp8.CountNonFinite(c.out, fp8.ElemBF16)
	if n == 0 {
		return nil
	}
	row, col := c.span.row+at/c.span.cols, c.span.col+at%c.span.cols
	return e.blame(c.job.tensor, "the code at row %d, column %d of %v times its scale in %q is beyond BF16's range", row, col, c.job.tensor.Source.Shape, c.job.tensor.Scale.Name)
}

// write puts c.out into the shard's file.
func (e *engine) write(c *chunk) error {
	j, g := c.job, &c.job.geo
	f := j.shard.file
	put := func(p []byte, off int64) error {
		if err := blockio.WriteFull(f, p, off); err != nil {
			return fmt.Errorf("writing %q: %w", f.Name(), err)
		}
		return e.window.wrote(f, off, int64(len(p)))
	}
	if g.linear || c.span.cols == g.cols {
		first := c.span.first
		if !g.linear {
			first = c.span.row * g.cols
		}
		return put(c.out, j.offset+first*g.out)
	}
	width := c.span.cols * g.out
	for r := range c.span.rows {
		off := j.offset + ((c.span.row+r)*g.cols+c.span.col)*g.out
		if err := put(c.out[r*width:(r+1)*width], off); err != nil {
			return err
		}
	}
	return nil
}

// conclude records a job whose chunks are all written.
func (e *engine) conclude(j *job) error {
	t := j.tensor
	switch {
	case t.Op == plan.Constant:
		if err := e.put(j, t.Value); err != nil {
			return err
		}
	case j.geo.wide():
		if err := e.hashBack(j); err != nil {
			return err
		}
	}
	results := []manifest.Tensor{{Name: t.Name, File: j.shard.plan.Name, DType: t.DType, Shape: t.Shape, BLAKE3: sum(j.hash), Uncovered: t.Uncovered}}
	if j.scale != nil {
		results[0].Error = j.quality()
		raw := make([]byte, 4*len(j.tiles))
		for i := range j.tiles {
			binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(j.tiles[i].Scale))
		}
		f := j.shard.file
		if err := blockio.WriteFull(f, raw, j.scaleOffset); err != nil {
			return fmt.Errorf("writing %q: %w", f.Name(), err)
		}
		j.hash.Reset()
		j.hash.Write(raw)
		results = append(results, manifest.Tensor{Name: j.scale.Name, File: j.shard.plan.Name, DType: j.scale.DType, Shape: j.scale.Shape, BLAKE3: sum(j.hash)})
		j.tiles = nil
	}
	j.hash, j.parked, j.channels = nil, nil, nil
	j.shard.complete(results...)
	return nil
}

// put writes a constant.
func (e *engine) put(j *job, x float32) error {
	raw := make([]byte, j.tensor.Bytes())
	for i := range len(raw) / 4 {
		putFloats(raw[4*i:], []float32{x})
	}
	j.hash.Write(raw)
	f := j.shard.file
	if err := blockio.WriteFull(f, raw, j.offset); err != nil {
		return fmt.Errorf("writing %q: %w", f.Name(), err)
	}
	return nil
}

// hashBack takes the digest of a tensor whose chunks were not contiguous, from
// the file.
func (e *engine) hashBack(j *job) error {
	buf := make([]byte, minSlab)
	f := j.shard.file
	for off, end := j.offset, j.offset+j.tensor.Bytes(); off < end; off += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), end-off)]
		if err := blockio.ReadFull(f, p, off); err != nil {
			return fmt.Errorf("reading %q back: %w", f.Name(), err)
		}
		j.hash.Write(p)
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
