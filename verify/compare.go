package verify

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/ui"
	"quern/scheme"
	"quern/source"
)

// baseline is a tensor, or the part of a fused one, that another was made from.
type baseline struct {
	tensor *plan.Tensor
	files  *source.Files
	elem   fp8.Elem
	scaled *scaled // FP8 with scales instead of elem
	// written are other codes. They are decoded when they are read, so that elem is
	// ElemF32.
	written    *written
	rows, cols int64
}

// newBaseline readies t of s. ok is false for types that have no values here.
func (s *side) newBaseline(t *plan.Tensor) (b *baseline, ok bool, err error) {
	shape := s.shapeOf(t)
	b = &baseline{tensor: t, files: s.files, cols: 1}
	if n := len(shape) - 1; n >= 0 {
		b.rows, b.cols = elements(shape[:n]), shape[n]
	}
	w := s.written[t.Name]
	if w == nil {
		w = t.Written // a part of one
	}
	if w != nil {
		b.written, ok = newWritten(w, &t.Source, s.files)
		b.elem = fp8.ElemF32
		return b, ok, nil
	}
	if isCodes(t) {
		b.scaled, err = s.newScaled(t)
		if err != nil {
			return nil, false, fmt.Errorf("baseline: %w", err)
		}
		return b, true, nil
	}
	b.elem, ok = plan.Elem(t.DType)
	return b, ok, nil
}

// size is the bytes of an element.
func (b *baseline) size() int64 {
	if b.written != nil {
		return 4
	}
	return b.tensor.Source.DType.Bits() / 8
}

// view is what elements are read from, as far as their size goes.
func (b *baseline) view() *plan.View {
	if b.written == nil {
		return &b.tensor.Source
	}
	v := b.tensor.Source
	v.DType, v.Shape = safetensors.F32, []int64{b.rows, b.cols}
	return &v
}

// exact reports whether it has the weights themselves, and no codes of its own.
func (b *baseline) exact() bool { return b.scaled == nil && b.written == nil }

// floats writes n elements from the first on as float32.
func (b *baseline) floats(dst []byte, first, n int64) error {
	if b.written != nil {
		return b.written.load(dst, first, n)
	}
	raw, p, err := b.load(make([]byte, n*b.size()), first, n)
	if err != nil {
		return err
	}
	if b.scaled != nil {
		return b.scaled.decode(dst, fp8.ElemF32, raw, first, p)
	}
	copy(dst, widen(dst, raw, b.elem)) // float32 is not there yet
	return nil
}

// largest is the largest magnitude.
func (b *baseline) largest(ctx context.Context) (float32, error) {
	const step = 1 << 18
	var most float32
	all := b.rows * b.cols
	wide := make([]byte, 4*min(step, all))
	for first := int64(0); first < all; first += step {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		n := min(step, all-first)
		if err := b.floats(wide, first, n); err != nil {
			return 0, err
		}
		top, _ := scheme.Amax(fp8.Matrix{Data: wide, Elem: fp8.ElemF32, Rows: 1, Cols: int(n), Stride: int(n)})
		most = max(most, top)
	}
	return most, nil
}

// load reads n elements from the first on into buf.
func (b *baseline) load(buf []byte, first, n int64) ([]byte, patch, error) {
	raw := buf[:n*b.size()]
	if b.written != nil {
		return raw, patch{}, b.written.load(raw, first, n)
	}
	if err := b.files.Read(&b.tensor.Source, raw, first*b.size()); err != nil {
		return nil, patch{}, err
	}
	p, err := b.patch(first, n)
	return raw, p, err
}

// patch reads the scales of n elements from the first on, if they have any.
func (b *baseline) patch(first, n int64) (patch, error) {
	if b.scaled == nil {
		return patch{}, nil
	}
	return b.scaled.load(first, n)
}

// values returns raw elements, the first of which has the given index, as
// little-endian float32, in scratch or in place.
func (b *baseline) values(scratch, raw []byte, first int64, p patch) ([]byte, error) {
	if b.scaled == nil {
		return widen(scratch, raw, b.elem), nil
	}
	out := scratch[:4*len(raw)]
	return out, b.scaled.decode(out, fp8.ElemF32, raw, first, p)
}

// errorCheck measures a quantized tensor against its baseline.
type errorCheck struct {
	codes *scaled
	base  *baseline
	sum   energy
	ue8m0 bool

	banded  bool // pieces are whole rows of the tiles that quern writes
	rows    bool // pieces are whole rows
	fresh   *freshCheck
	nearest codesCheck
	ideal   *float64 // dB; only of tensors below enough
}

// enough is the ratio in dB that no gate asks more than.
var enough = scheme.BlockFP8.Floor

func (c *errorCheck) weight() *plan.Tensor  { return c.codes.weight }
func (c *errorCheck) source() *baseline     { return c.base }
func (c *errorCheck) share(all []*baseline) { c.fresh.partners = all }
func (c *errorCheck) energy() *energy       { return &c.sum }
func (c *errorCheck) best() *float64        { return c.ideal }
func (c *errorCheck) problem() string       { return c.nearest.problem(c.codes) }
func (c *errorCheck) anew() *freshCheck     { return c.fresh }

func (c *errorCheck) piece(ctx context.Context, w *worker, p []byte, at int64) error {
	n := int64(len(p))
	mine, err := c.codes.load(at, n)
	if err != nil {
		return err
	}
	raw, its, err := w.piece.load(at, n)
	if err != nil {
		return err
	}
	if c.banded {
		if err := c.bands(w, p, at, raw, mine.scales); err != nil {
			return err
		}
	}
	if c.rows {
		if err := c.byRows(ctx, w, p, at, raw, its); err != nil {
			return err
		}
	}
	look := !c.banded && !c.copied(p, raw, mine, its)
	size, all := c.base.size(), c.codes.weight.Source.Bytes()
	for i := int64(0); i < n; {
		// The end of a block that the piece before has begun, or one from its start on.
		begun := (at + i) % blockElements
		m := min(blockElements-begun, n-i)
		if err := c.codes.decode(w.got[4*begun:], fp8.ElemF32, p[i:i+m], at+i, mine); err != nil {
			return err
		}
		want, err := c.base.values(w.want[4*begun:], raw[i*size:(i+m)*size], at+i, its)
		if err != nil {
			return err
		}
		if m < blockElements {
			copy(w.want[4*begun:], want) // float32 is not there yet
			want = w.want[:4*(begun+m)]
		}
		if begun+m == blockElements || at+i+m == all {
			c.sum.add(want, w.got)
		}
		if look {
			c.codes.runs(at+i, m, mine, func(k, n int64, scale float32) {
				c.nearest.run(at+i+k, p[i+k:i+k+n], want[4*(begun+k):], scale)
			})
		}
		i += m
	}
	if at+n < all {
		return nil
	}
	if c.rows {
		whole := make([][]byte, 2)
		if o := c.fresh.byRows.outputs; len(o) > 1 && o[1].Whole() {
			whole[1] = make([]byte, c.codes.scale.Source.Bytes())
			if err := c.codes.files.Read(&c.codes.scale.Source, whole[1], 0); err != nil {
				return err
			}
		}
		if err := c.fresh.end(whole); err != nil {
			return err
		}
	}
	if db := c.sum.sqnr(); db == nil || *db >= c.floor() || math.IsNaN(c.sum.diff) {
		return nil
	}
	if c.fresh.absmax() { // it has shown what could be had
		c.ideal = c.fresh.sqnr()
		return nil
	}
	return c.measureIdeal(ctx, w)
}

// byRows compares whole rows with a fresh quantization.
func (c *errorCheck) byRows(ctx context.Context, w *worker, codes []byte, at int64, raw []byte, its patch) error {
	cols := c.codes.cols
	p := scheme.Part{Row: at / cols, Rows: int64(len(codes)) / cols, Cols: cols}
	m := fp8.Matrix{Data: raw, Elem: c.base.elem, Rows: int(p.Rows), Cols: int(cols), Stride: int(cols)}
	if c.base.scaled != nil {
		w.values = grown(w.values, 4*int64(len(codes)))
		m.Data, m.Elem = w.values[:4*len(codes)], fp8.ElemF32
		if err := c.base.scaled.decode(m.Data, m.Elem, raw, at, its); err != nil {
			return err
		}
	}
	in := [][]byte{codes, nil}
	is := scheme.ByGrid(c.codes.grid, c.codes.scale.DType)
	if o := is.Outputs(scheme.Params{}, c.codes.rows, cols)[1]; !o.Whole() {
		in[1] = make([]byte, o.Size(p))
		offset, _, _, _ := o.Place(p, cols)
		if err := c.codes.files.Read(&c.codes.scale.Source, in[1], offset); err != nil {
			return err
		}
	}
	if _, err := c.fresh.rows(ctx, w, p, m, in); err != nil {
		return fmt.Errorf("tensor %q: %w", c.codes.weight.Name, err)
	}
	return nil
}

// copied reports whether codes and their scales are the baseline's.
func (c *errorCheck) copied(codes, raw []byte, mine, its patch) bool {
	same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
	return c.base.scaled != nil && c.base.scaled.grid == c.codes.grid && bytes.Equal(codes, raw) &&
		slices.EqualFunc(mine.scales, its.scales, same)
}

// bands looks at whole rows of tiles, of a baseline that is not quantized.
func (c *errorCheck) bands(w *worker, codes []byte, at int64, raw []byte, scales []float32) error {
	if len(codes) == 0 {
		return nil
	}
	cols := int(c.codes.cols)
	m := fp8.Matrix{Data: raw, Elem: c.base.elem, Rows: len(codes) / cols, Cols: cols, Stride: cols}
	tiles, err := c.fresh.piece(w, c, codes, m, scales)
	if err != nil {
		return err
	}
	return c.nearest.tiles(w, c, at, codes, m, scales, tiles)
}

// limit is what the ratio has to reach, in dB.
func (c *errorCheck) limit() float64 {
	if c.ideal == nil {
		return c.floor()
	}
	return min(c.floor(), *c.ideal-tolerance)
}

// is is the scheme of the codes.
func (c *errorCheck) is() *scheme.Scheme { return scheme.ByGrid(c.codes.grid, c.codes.scale.DType) }

// floor is the ratio in dB that is enough for it.
func (c *errorCheck) floor() float64 { return c.is().Floor }

// tolerance is how far below the ideal a ratio may lie, in dB.
const tolerance = scheme.Allowed

// equalCheck compares a tensor that was not quantized with its baseline, or with
// what the baseline becomes in the tensor's dtype.
type equalCheck struct {
	tensor *plan.Tensor
	base   *baseline
	cast   bool // the dtypes differ

	count, first int64 // of elements (bytes of packed types) that differ

	back *returned // of matrices that may have been quantized meanwhile, or nil
}

// newEqualCheck says as problem why t cannot be what b was made into, "" if it can.
// number says that b has values.
func newEqualCheck(t *plan.Tensor, b *baseline, number bool) (c *equalCheck, problem string) {
	c = &equalCheck{tensor: t, base: b, cast: t.DType != b.tensor.DType}
	if c.cast && (!number || t.DType != safetensors.BF16 && t.DType != safetensors.F32) {
		return nil, fmt.Sprintf("dtype %s, the baseline has %s", t.DType, b.tensor.DType)
	}
	if c.cast && t.Meta.Role.Routes() {
		return nil, fmt.Sprintf("dtype %s, the baseline has %s: routers decide by small differences, and no cast of them is allowed", t.DType, b.tensor.DType)
	}
	return c, ""
}

func (c *equalCheck) piece(_ context.Context, w *worker, p []byte, at int64) error {
	size := max(c.tensor.DType.Bits(), 8) / 8
	if !c.cast {
		other, err := w.piece.same()
		if err != nil {
			return err
		}
		if c.compare(p, other, at/size, size) {
			return c.returned(w, p, other, at/size)
		}
		return nil
	}
	first, n := at/size, int64(len(p))/size
	raw, scales, err := w.piece.load(first, n)
	if err != nil {
		return err
	}
	differs := false
	for i := int64(0); i < n; i += blockElements {
		m := min(blockElements, n-i)
		in := raw[i*c.base.size() : (i+m)*c.base.size()]
		want := w.got[:m*size]
		switch {
		case c.base.scaled != nil:
			to, _ := plan.Elem(c.tensor.DType)
			if err := c.base.scaled.decode(want, to, in, first+i, scales); err != nil {
				return err
			}
		case c.tensor.DType == safetensors.BF16:
			fp8.CastBF16(want, in, c.base.elem)
		default:
			want = widen(want, in, c.base.elem)
		}
		differs = c.compare(p[i*size:(i+m)*size], want, first+i, size) || differs
	}
	if differs {
		return c.returned(w, p, raw, first)
	}
	return nil
}

// returned hands pieces in which something differs on.
func (c *equalCheck) returned(w *worker, p, raw []byte, first int64) error {
	if c.back == nil {
		return nil
	}
	m := fp8.Matrix{Data: raw, Elem: c.base.elem, Rows: len(raw) / c.base.elem.Size() / c.back.cols, Cols: c.back.cols, Stride: c.back.cols}
	return c.back.piece(w, p, m, first)
}

// compare counts the elements that differ, and reports whether any does; the first has
// the index first.
func (c *equalCheck) compare(got, want []byte, first, size int64) bool {
	if bytes.Equal(got, want) {
		return false
	}
	for i := int64(0); i < int64(len(got)); i += size {
		if bytes.Equal(got[i:i+size], want[i:i+size]) {
			continue
		}
		if c.count == 0 {
			c.first = first + i/size
		}
		c.count++
	}
	return true
}

// problem says how the tensor differs, "" if it does not.
func (c *equalCheck) problem() string {
	if c.count == 0 {
		return ""
	}
	what, all := "values", elements(c.tensor.Shape)
	if c.tensor.DType.Bits() < 8 {
		what, all = "bytes", c.tensor.Source.Bytes()
	}
	from := ""
	if c.cast {
		from = fmt.Sprintf(" from the baseline's %s rounded to %s", c.base.tensor.DType, c.tensor.DType)
	}
	return fmt.Sprintf("%s: %s of %s %s differ%s, the first at %s", title(c.tensor), ui.Count(c.count), ui.Count(all), what, from, index(c.first, c.tensor.Shape))
}
