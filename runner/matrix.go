package runner

import (
	"bytes"
	"encoding/binary"
	"math"

	"quern/convert/plan"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/gemm"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/source"
)

// matrix is a weight [out, in] of the checkpoint: where it lies and in which form.
type matrix struct {
	name    string // of the tensor
	module  string // path of the module, that of the expert for fused experts
	view    plan.View
	out, in int

	transposed bool // stored [in, out]
	wide       bool // in float32 where it stays in memory
	fed        fed
	scale      *plan.View
	grid       plan.Grid
	written    *plan.Written // of codes that lie under no grid, see coded
}

// vector is a weight of one dimension, or a row of one that holds all experts.
type vector struct {
	view  plan.View
	n     int
	plus  float32 // is added to each number
	times float32 // multiplies each number; 0: nothing does
	// below is set for whole numbers, which are smaller.
	below int
	// behind are further views, whose numbers come one behind the other.
	behind []plan.View
}

// bytes is what loading the vector reads.
func (v *vector) bytes() int64 {
	n := v.view.Bytes()
	for i := range v.behind {
		n += v.behind[i].Bytes()
	}
	return n
}

// of are the numbers of a vector that is loaded; of none, nil.
func (v *vector) of(w provider) []float32 {
	if v == nil {
		return nil
	}
	return w.vector(v)
}

// newMatrix describes the tensor of a view. scale may be nil.
func newMatrix(t *plan.Tensor, scale *plan.Tensor, block []int64) (*matrix, error) {
	if t.Written != nil {
		return newCoded(t)
	}
	if len(t.Shape) != 2 {
		return nil, invalid.Errorf("tensor %q: shape %v is not that of a matrix", t.Name, t.Shape)
	}
	m := &matrix{name: t.Name, module: t.Meta.Module, view: t.Source, out: int(t.Shape[0]), in: int(t.Shape[1])}
	if _, ok := plan.Elem(t.DType); ok {
		return m, nil
	}
	if !t.Coded() || scale == nil {
		return nil, invalid.Errorf("tensor %q: the runner does not read dtype %s; `quern convert --to bf16` writes a checkpoint that it reads where that is possible", t.Name, t.DType)
	}
	g, err := plan.ScaleGrid(t, scale, block)
	if err != nil {
		return nil, err
	}
	v := scale.Source
	m.scale, m.grid = &v, g
	return m, nil
}

// bytes is what the weight takes in the file without its scales, which packed codes have
// with them.
func (m *matrix) bytes() int64 {
	n := m.view.Bytes()
	if m.written != nil {
		for i := range m.written.Scales {
			n += m.written.Scales[i].Bytes()
		}
	}
	return n
}

// rowBytes is what a row takes in memory when it is about to be multiplied by.
func (m *matrix) rowBytes() int64 {
	if m.written != nil {
		return 4 * int64(m.in)
	}
	return m.bytes() / int64(max(m.out, 1))
}

// read is what loading the weight reads.
func (m *matrix) read() int64 {
	if m.scale == nil {
		return m.bytes()
	}
	return m.bytes() + m.scale.Bytes()
}

// equal reports whether two weights are the same bytes of the same form.
func (m *matrix) equal(o *matrix, files *source.Files) (bool, error) {
	if m == o {
		return true, nil
	}
	if m.out != o.out || m.in != o.in || m.view.DType != o.view.DType || m.scale != nil || o.scale != nil || m.written != nil || o.written != nil {
		return false, nil
	}
	const step = 1 << 20
	a, b := make([]byte, step), make([]byte, step)
	for at := int64(0); at < m.bytes(); at += step {
		n := min(step, m.bytes()-at)
		if err := files.Read(&m.view, a[:n], at); err != nil {
			return false, err
		}
		if err := files.Read(&o.view, b[:n], at); err != nil {
			return false, err
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
	}
	return true, nil
}

// load reads rows first to first+n of the weight (all rows of what is transposed)
// into slab, which holds their bytes, or into memory of its own when they have to be
// converted.
func (m *matrix) load(files *source.Files, slab []byte, first, n int) (*gemm.Weight, error) {
	if m.written != nil {
		return m.loadCoded(files, slab, first, n)
	}
	per := m.bytes() / int64(max(m.out, 1))
	if m.transposed {
		first, n = 0, m.out
	}
	slab = slab[:per*int64(n)]
	if err := files.Read(&m.view, slab, per*int64(first)); err != nil {
		return nil, err
	}
	w := &gemm.Weight{Out: n, In: m.in, Data: slab, Transposed: m.transposed}
	switch m.view.DType {
	case safetensors.BF16:
		w.Format = gemm.BF16
	case safetensors.F16:
		w.Format = gemm.F16
	case safetensors.F32:
		w.Format = gemm.F32
	case safetensors.F64:
		w.Format = gemm.F32
		w.Data = make([]byte, len(slab)/2)
		for i := 0; i < len(slab); i += 8 {
			f := float32(math.Float64frombits(binary.LittleEndian.Uint64(slab[i:])))
			binary.LittleEndian.PutUint32(w.Data[i/2:], math.Float32bits(f))
		}
	default:
		w.Format = gemm.E4M3
		if err := m.loadScales(w, files, first); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// loadScales gives w the scales of its rows, which begin with row first of m.
func (m *matrix) loadScales(w *gemm.Weight, files *source.Files, first int) error {
	g := &m.grid
	raw := make([]byte, m.scale.Bytes())
	if err := files.Read(m.scale, raw, 0); err != nil {
		return err
	}
	all := make([]float32, g.Rows*g.Cols)
	if !source.Floats(all, raw, m.scale.DType) {
		return invalid.Errorf("tensor %q: scales of dtype %s are not known", m.scale.Name, m.scale.DType)
	}
	w.TileIn = int(g.TileCols)
	if g.Parts <= 1 && first%int(g.TileRows) == 0 {
		w.TileOut = int(g.TileRows)
		from := first / w.TileOut
		to := min((first+w.Out+w.TileOut-1)/w.TileOut, int(g.Rows))
		w.Scales = all[from*int(g.Cols) : to*int(g.Cols)]
		return nil
	}
	// Joined parts, or rows from within a tile: a scale row for each row.
	w.TileOut = 1
	w.Scales = make([]float32, 0, w.Out*int(g.Cols))
	for r := range w.Out {
		s := g.Row(int64(first+r), int64(m.out)) * g.Cols
		w.Scales = append(w.Scales, all[s:s+g.Cols]...)
	}
	return nil
}

// widen replaces codes and scales by their float32 values, for what is multiplied
// transposed.
func widen(w *gemm.Weight) error {
	if w.Format != gemm.E4M3 {
		return nil
	}
	out := make([]byte, 4*w.Out*w.In)
	err := fp8.Dequantize(out, w.In, fp8.ElemF32, w.Data, w.In, w.Out, w.In, fp8.Grid{
		Scales: w.Scales, Rows: len(w.Scales) / ((w.In + w.TileIn - 1) / w.TileIn), Cols: (w.In + w.TileIn - 1) / w.TileIn,
		TileRows: w.TileOut, TileCols: w.TileIn,
	})
	w.Data, w.Format, w.Scales, w.TileOut, w.TileIn = out, gemm.F32, nil, 0, 0
	return err
}

// load reads a vector as float32.
func (v *vector) load(files *source.Files) ([]float32, error) {
	if v.below > 0 {
		return v.integers(files)
	}
	dst := make([]float32, v.n)
	rest := dst
	for _, view := range append([]plan.View{v.view}, v.behind...) {
		raw := make([]byte, view.Bytes())
		if err := files.Read(&view, raw, 0); err != nil {
			return nil, err
		}
		n := min(int(int64(len(raw))/max(view.DType.Bits()/8, 1)), len(rest))
		source.Floats(rest[:n], raw, view.DType)
		rest = rest[n:]
	}
	if v.plus != 0 {
		for i := range dst {
			dst[i] += v.plus
		}
	}
	if v.times != 0 {
		vec.Scale(dst, v.times)
	}
	return dst, nil
}

// row reads row i of a weight as float32; slab has room for its bytes.
func (m *matrix) row(files *source.Files, dst []float32, slab []byte, i int) error {
	w, err := m.load(files, slab, i, 1)
	if err != nil {
		return err
	}
	if err := widen(w); err != nil {
		return err
	}
	d := m.view.DType
	if w.Format == gemm.F32 {
		d = 0 // as widened
	}
	if !floats(dst, w.Data, w.Format) {
		return invalid.Errorf("tensor %q: dtype %s", m.name, d)
	}
	return nil
}
