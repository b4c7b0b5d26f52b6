package runner

import (
	"quern/convert/plan"
	"quern/fp8"
	"quern/gemm"
	"quern/internal/invalid"
	"quern/scheme"
	"quern/source"
)

// coded is a weight in the codes of a scheme that no product is made from: it stays in
// memory as it lies in the file, and is decoded a panel at a time where it is used.
type coded struct {
	m       *matrix
	scheme  *scheme.Scheme
	outputs []scheme.Output
	bytes   [][]byte // of each output
}

// newCoded describes a matrix of packed codes.
func newCoded(t *plan.Tensor) (*matrix, error) {
	w := t.Written
	if len(t.Shape) != 2 || t.Shape[0] != w.Rows || t.Shape[1] != w.Cols {
		return nil, invalid.Errorf("tensor %q: shape %v is not that of a matrix", t.Name, t.Shape)
	}
	return &matrix{name: t.Name, module: t.Meta.Module, view: t.Source, written: w, out: int(w.Rows), in: int(w.Cols)}, nil
}

// expert is the matrix [out, in] of expert e of packed experts in one tensor.
func (b *builder) expert(t *plan.Tensor, e int, part string) *matrix {
	x, err := t.Expert(e)
	if err == nil {
		x.Meta.Module = t.Meta.ExpertModule(e, part)
		var m *matrix
		if m, err = newCoded(&x); err == nil {
			b.feed(m, &x.Meta)
			return m
		}
	}
	if b.err == nil {
		b.err = err
	}
	return nil
}

// divideCodes finds the matrices of single experts, with their scales, in FP8 codes of all
// experts of a layer.
func (b *builder) divideCodes(t *plan.Tensor) error {
	scale := b.scales[t.Name]
	if scale == nil || !t.Meta.Fused3D || len(t.Shape) != 3 || t.Meta.Interleaved || t.Meta.Transposed {
		return nil
	}
	g, err := plan.ScaleGrid(t, scale, b.block)
	if err != nil {
		return err
	}
	parts, err := plan.ExpertParts(*t)
	if err != nil {
		return err
	}
	scales, err := plan.ExpertScales(*t, *scale, g)
	for i := range scales {
		m := &parts[i].Meta
		b.tensors[key{role: m.Role, layer: m.Layer, expert: m.Expert + 1, part: m.Part}] = &parts[i]
		b.scales[parts[i].Name] = &scales[i]
	}
	return err
}

// output is where output n of the codes lies.
func (m *matrix) output(n int) *plan.View {
	if n == 0 {
		return &m.view
	}
	return &m.written.Scales[n-1]
}

// codes reads the bytes of some rows into slab, or into memory of its own where that
// does not hold them. The rows are whole grains of the scheme.
func (m *matrix) codes(files *source.Files, slab []byte, first, n int) (*coded, error) {
	s, err := scheme.Find(m.written.Scheme)
	if err != nil {
		return nil, err
	}
	c := &coded{m: m, scheme: s, outputs: s.Outputs(m.written.Params, m.written.Rows, m.written.Cols)}
	part := c.part(first, n)
	for k := range c.outputs {
		lay, v := &c.outputs[k], m.output(k)
		size := lay.Size(part)
		if lay.Whole() {
			size = v.Bytes()
		}
		if int64(len(slab)) < size {
			slab = make([]byte, size)
		}
		b := slab[:size:size]
		slab = slab[size:]
		c.bytes = append(c.bytes, b)
		if lay.Whole() {
			if err := files.Read(v, b, 0); err != nil {
				return nil, err
			}
			continue
		}
		for at, n := range lay.Runs(part, m.written.Cols) {
			if err := files.Read(v, b[:n], at); err != nil {
				return nil, err
			}
			b = b[n:]
		}
	}
	return c, nil
}

func (c *coded) part(first, n int) scheme.Part {
	return scheme.Part{Row: int64(first), Rows: int64(n), Cols: c.m.written.Cols}
}

// hold reads a whole weight and sees that it can be decoded, so that nothing fails later.
func (m *matrix) hold(files *source.Files, slab []byte) (*coded, error) {
	c, err := m.codes(files, slab, 0, m.out)
	if err != nil {
		return nil, err
	}
	n := min(m.out, c.grain())
	return c, c.decode(make([]byte, 4*n*m.in), 0, n)
}

// grain is what numbers of rows are multiples of.
func (c *coded) grain() int { return int(c.scheme.Grain.Rows) }

// decode writes rows of a weight that is there as a whole, as float32. first is a multiple
// of the grain.
func (c *coded) decode(dst []byte, first, n int) error {
	part := c.part(first, n)
	in := make([][]byte, len(c.outputs))
	for k := range c.outputs {
		lay := &c.outputs[k]
		if lay.Whole() {
			in[k] = c.bytes[k]
			continue
		}
		size := lay.Size(part)
		for at, n := range lay.Runs(part, part.Cols) {
			if in[k] == nil && n == size {
				in[k] = c.bytes[k][at : at+n]
				break
			}
			in[k] = append(in[k], c.bytes[k][at:at+n]...)
		}
	}
	return c.values(dst, in, part)
}

// values decodes the bytes of a part.
func (c *coded) values(dst []byte, in [][]byte, part scheme.Part) error {
	if err := c.scheme.Decode(c.m.written.Params, dst, c.m.in, fp8.ElemF32, in, part); err != nil {
		return invalid.Errorf("tensor %q: %w", c.m.name, err)
	}
	return nil
}

// take reads the whole weight as it is to stay: in codes of a scheme, or to be multiplied
// by, which wide makes float32.
func (m *matrix) take(files *source.Files, slab []byte, wide bool) (w *gemm.Weight, c *coded, err error) {
	if m.written != nil && !wide {
		c, err = m.hold(files, slab)
		return nil, c, err
	}
	if w, err = m.load(files, slab, 0, m.out); err == nil && wide {
		err = widen(w)
	}
	return w, nil, err
}

// loadCoded reads some rows as float32. They need not be whole grains.
func (m *matrix) loadCoded(files *source.Files, slab []byte, first, n int) (*gemm.Weight, error) {
	s, err := scheme.Find(m.written.Scheme)
	if err != nil {
		return nil, err
	}
	g := int(s.Grain.Rows)
	from := first / g * g
	rows := min((first+n-from+g-1)/g*g, m.out-from)
	c, err := m.codes(files, slab, from, rows)
	if err != nil {
		return nil, err
	}
	data := make([]byte, 4*rows*m.in)
	if err := c.values(data, c.bytes, c.part(from, rows)); err != nil {
		return nil, err
	}
	return &gemm.Weight{Out: n, In: m.in, Format: gemm.F32, Data: data[4*(first-from)*m.in:][:4*n*m.in]}, nil
}

// Floats of a panel: what fits the second cache beside the activations, for few rows; of
// many, what is worth the start of a product.
const (
	panelFew  = 64 << 10
	panelMany = 4 << 20
)

// panels divides the rows of the weight into panels of about so many numbers.
func (c *coded) panels(floats int) (rows, count int) {
	g := c.grain()
	rows = max(floats/max(c.m.in, 1)/g, 1) * g
	return rows, (c.m.out + rows - 1) / rows
}

// multiplyCoded is y = x·Wᵀ with a weight in codes. An output is the same sum as with the
// weight in float32: its row is decoded as a whole.
func (p *pass) multiplyCoded(y, x []float32, rows int, c *coded) {
	out, in := c.m.out, c.m.in
	if p.few {
		height, count := c.panels(panelFew)
		p.jobs(count, height*in*(rows+2), func(k, worker int) {
			a := p.arena
			if p.workers > 1 && len(p.helpers) > 0 {
				a = p.helpers[worker].arena
			}
			mark := a.mark()
			defer a.release(mark)
			first := k * height
			n := min(height, out-first)
			w := gemm.Weight{Out: n, In: in, Format: gemm.F32, Data: raw(a.floats(n * in))}
			c.mustDecode(w.Data, first, n)
			gemm.MulFew(y[first:], out, x, in, rows, &w, gemm.Options{Workers: 1})
		})
		return
	}
	height, count := c.panels(panelMany)
	mark := p.arena.mark()
	defer p.arena.release(mark)
	panel := raw(p.arena.floats(min(height, out) * in))
	g := c.grain()
	for k := range count {
		first := k * height
		n := min(height, out-first)
		p.each((n+g-1)/g, g*in, func(at, m, _ int) {
			c.mustDecode(panel[4*at*g*in:], first+at*g, min(m*g, n-at*g))
		})
		w := gemm.Weight{Out: n, In: in, Format: gemm.F32, Data: panel[:4*n*in]}
		p.product.mul(y[first:], out, x, in, rows, &w)
	}
}

// mustDecode is decode of a weight that hold has looked at.
func (c *coded) mustDecode(dst []byte, first, n int) {
	if err := c.decode(dst[:4*n*c.m.in], first, n); err != nil {
		panic("runner: " + err.Error())
	}
}
