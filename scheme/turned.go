package scheme

import (
	"sync"

	"quern/formats/safetensors"
	"quern/fp8"
	"quern/group"
	"quern/internal/invalid"
)

// Engines read the experts of some architectures in one tensor of a layer, [experts, in,
// out], whose rows are inputs. Groups run along the inputs: down the columns of what is
// stored in numbers. Such a tensor is coded as one matrix, the experts below each other,
// and codes lie in either of two ways: outputs first ([MXFP4Turned]), or inputs first as
// the numbers do ([NVFP4Turned]).

// stacks pairs the schemes that are asked for with what they are for such experts.
var stacks = []struct{ plain, stacked *Scheme }{{MXFP4, MXFP4Turned}, {NVFP4, NVFP4Turned}}

// Stacked is how a scheme writes experts that stay in one tensor; nil: no engine reads it
// there.
func (s *Scheme) Stacked() *Scheme {
	for _, x := range stacks {
		if x.plain == s {
			return x.stacked
		}
	}
	return nil
}

// Plain is the scheme of a single matrix whose numbers s has: s itself, unless it is one
// of those for experts in one tensor.
func (s *Scheme) Plain() *Scheme {
	for _, x := range stacks {
		if x.stacked == s {
			return x.plain
		}
	}
	return s
}

// NVFP4Turned is NVFP4 with the experts of a layer in one tensor, inputs first: codes
// [experts, in/2, out], a scale [experts, in/16, out], one scale for all. ModelOpt writes
// the experts of gpt-oss so: it packs them turned round and turns the result back.
// TensorRT-LLM (modeling_gpt_oss.py, load_nvfp4_weights) and SGLang
// (make_expert_params_mapping_fused_nvfp4) read it.
var NVFP4Turned = &Scheme{
	Name:   "nvfp4-gpt-oss",
	Title:  "NVFP4, with one scale for the experts of a layer, inputs first",
	Survey: true,
	Grain:  Grain{Rows: 16},
	Check: func(p Params, rows, _ int64) error {
		if p != (Params{Search: p.Search, Packing: Packing{Each: p.Each}}) {
			return errSetting
		}
		return wholeStack(&p, "nvfp4", 16, rows)
	},
	Outputs: func(p Params, rows, cols int64) []Output {
		e := rows / p.Each
		return []Output{
			{Kind: Codes, DType: safetensors.U8, Shape: []int64{e, p.Each / 2, cols}, TileRows: 2, TileCols: 1, Bits: 8},
			{Kind: Scale, DType: safetensors.F8E4M3, Shape: []int64{e, p.Each / 16, cols}, TileRows: 16, TileCols: 1, Bits: 8},
			{Kind: TensorScale, DType: safetensors.F32, Shape: []int64{}, Bits: 32},
		}
	},
	Coder: func(j *Job) (Coder, error) {
		if err := j.surveyed(); err != nil {
			return nil, err
		}
		s := group.NVFP4Scale(j.Amax)
		f := group.NVFP4{Tensor: s, Search: group.Search{By: j.Search}}
		return newTurnedCoder(turned{f, 16, 0}, map[int][]byte{2: float(s)}), nil
	},
	Decode: func(_ Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		s, err := toFloat(in[2])
		if err != nil {
			return err
		}
		return turned{group.NVFP4{Tensor: s}, 16, 0}.decode(dst, stride, elem, in, part)
	},
	Recode: func(_ Params, in [][]byte, m fp8.Matrix, part Part) error {
		s, err := toFloat(in[2])
		if err != nil {
			return err
		}
		return turned{group.NVFP4{Tensor: s}, 16, 0}.recode(in, m, part)
	},
	Recognise: func(w *Stored, beside Beside) (Found, bool) {
		if w.DType != safetensors.U8 || len(w.Shape) != 3 {
			return Found{}, false
		}
		s, ok := beside(fp4Scale(w))
		if !ok || s.DType != safetensors.F8E4M3 || len(s.Shape) != 3 || s.Shape[0] != w.Shape[0] || s.Shape[2] != w.Shape[2] || s.Shape[1]*16 != w.Shape[1]*2 {
			return Found{}, false
		}
		t, ok := beside(fp4Scale(w) + "_2")
		if !ok || t.DType != safetensors.F32 || elements(t.Shape) != 1 {
			return Found{}, false
		}
		e, in, out := w.Shape[0], w.Shape[1]*2, w.Shape[2]
		return Found{
			Params: Params{Packing: Packing{Each: in}}, Scales: []string{s.Name, t.Name}, Rows: e * in, Cols: out, Shape: []int64{e, in, out},
		}, true
	},
	Floor: NVFP4.Floor,
}

// NVFP4Across is one expert of [NVFP4Turned], as the matrix [out, in] that it is: what is
// stored is that matrix turned round.
var NVFP4Across = &Scheme{
	Name:  "nvfp4-gpt-oss-expert",
	Title: "NVFP4, inputs first",
	Floor: NVFP4.Floor,
	Grain: Grain{Rows: 1},
	Check: func(_ Params, _, cols int64) error { return wholeGroups("nvfp4", 16, cols) },
	Outputs: func(_ Params, rows, cols int64) []Output {
		return []Output{
			{Kind: Codes, DType: safetensors.U8, Shape: []int64{cols / 2, rows}, TileRows: 1, TileCols: 2, Bits: 8, Across: rows},
			{Kind: Scale, DType: safetensors.F8E4M3, Shape: []int64{cols / 16, rows}, TileRows: 1, TileCols: 16, Bits: 8, Across: rows},
			{Kind: TensorScale, DType: safetensors.F32, Shape: []int64{}, Bits: 32},
		}
	},
	Decode: func(_ Params, dst []byte, stride int, elem fp8.Elem, in [][]byte, part Part) error {
		s, err := toFloat(in[2])
		if err != nil {
			return err
		}
		n := int(part.Rows)
		codes, scales := make([]byte, part.Cols/2), make([]byte, part.Cols/16)
		for r := range n {
			column(codes, in[0][r:], n)
			column(scales, in[1][r:], n)
			one := group.Coded{Codes: codes, CodeStride: len(codes), Scales: scales, ScaleStride: len(scales)}
			if err := (group.NVFP4{Tensor: s}).Decode(dst[r*stride*elem.Size():], stride, elem, one, 1, int(part.Cols)); err != nil {
				return err
			}
		}
		return nil
	},
}

// column takes each stride-th byte.
func column(dst, src []byte, stride int) {
	for i := range dst {
		dst[i] = src[i*stride]
	}
}

// wholeStack says why rows are no matrices of p.Each inputs in whole groups.
func wholeStack(p *Params, name string, size, rows int64) error {
	switch {
	case p.Each < 1 || rows%p.Each != 0:
		return invalid.Errorf("%d inputs are no matrices of %d in blocks of %d", rows, p.Each, size)
	case p.Each%size != 0:
		return wholeGroups(name, size, p.Each)
	}
	return nil
}

// turned codes with groups down the columns of a matrix.
type turned struct {
	format group.Recoder
	size   int64 // rows of a group
	// each, if set, is how many rows each of the matrices has whose codes lie outputs
	// first; 0: inputs first.
	each int64
}

// band is a row of groups of a part: where the bytes of its groups lie.
type band struct {
	first         int64 // row of the part
	codes, scales []byte
	// from one group to the next, and from a byte of a group's codes to the next
	step, scaleStep, byteStep int
}

// band is where the row of groups lies that begins with row r of a part.
func (t turned) band(out [][]byte, p Part, r int64) *band {
	cols := int(p.Cols)
	if t.each == 0 {
		return &band{first: r, codes: out[0][int(r/2)*cols:], scales: out[1][int(r/t.size)*cols:], step: 1, scaleStep: 1, byteStep: cols}
	}
	matrix := (p.Row + r) / t.each
	begin, end := max(matrix*t.each-p.Row, 0), min((matrix+1)*t.each-p.Row, p.Rows)
	n := end - begin
	return &band{
		first: r, codes: out[0][int(begin/2)*cols+int(r-begin)/2:], scales: out[1][int(begin/t.size)*cols+int((r-begin)/t.size):],
		step: int(n / 2), scaleStep: int(n / t.size), byteStep: 1,
	}
}

// bands calls fn with one row of groups after the other.
func (t turned) bands(out [][]byte, p Part, fn func(b *band) error) error {
	for r := int64(0); r < p.Rows; r += t.size {
		if err := fn(t.band(out, p, r)); err != nil {
			return err
		}
	}
	return nil
}

// take copies the codes and scales of n groups from column c on, a row for each.
func (b *band) take(to group.Coded, c, n int) {
	for i := range n {
		from, row := b.codes[(c+i)*b.step:], to.Codes[i*to.CodeStride:][:to.CodeStride]
		for k := range row {
			row[k] = from[k*b.byteStep]
		}
		to.Scales[i] = b.scales[(c+i)*b.scaleStep]
	}
}

// put is the other way, of codes of so many bytes.
func (b *band) put(from group.Coded, c, n, size int, scales bool) {
	for i := range n {
		to, row := b.codes[(c+i)*b.step:], from.Codes[i*from.CodeStride:][:size]
		for k := range row {
			to[k*b.byteStep] = row[k]
		}
		if scales {
			b.scales[(c+i)*b.scaleStep] = from.Scales[i*from.ScaleStride]
		}
	}
}

// strip is how many columns are turned at once, so that they stay in the cache.
const strip = 64

// scratch is room for a strip of groups.
func (t turned) scratch() group.Coded {
	n := int(t.size / 2)
	return group.Coded{Codes: make([]byte, strip*n), CodeStride: n, Scales: make([]byte, strip), ScaleStride: 1}
}

func (t turned) decode(dst []byte, stride int, elem fp8.Elem, in [][]byte, p Part) error {
	return t.bands(in, p, func(b *band) error {
		return t.decodeBand(dst[int(b.first)*stride*elem.Size():], stride, elem, b, p.Cols)
	})
}

// decodeBand writes the values of a row of groups.
func (t turned) decodeBand(dst []byte, stride int, elem fp8.Elem, b *band, cols int64) error {
	one, n := t.scratch(), int(t.size)
	wide := make([]byte, strip*n*elem.Size())
	for c := 0; c < int(cols); c += strip {
		h := min(strip, int(cols)-c)
		b.take(one, c, h)
		if err := t.format.Decode(wide, n, elem, one, h, n); err != nil {
			return err
		}
		group.Turn(dst[c*elem.Size():], stride, wide, h, n, elem)
	}
	return nil
}

func (t turned) recode(in [][]byte, m fp8.Matrix, p Part) error {
	one, wide := t.scratch(), []byte(nil)
	return t.bands(in, p, func(b *band) error {
		for c := 0; c < int(p.Cols); c += strip {
			h := min(strip, int(p.Cols)-c)
			b.take(one, c, h)
			var part fp8.Matrix
			wide, part = t.groups(wide, m, int(b.first), c, h)
			if err := t.format.Recode(one, part); err != nil {
				return err
			}
			b.put(one, c, h, one.CodeStride, false)
		}
		return nil
	})
}

// groups are h groups of m, from a row and a column on, as rows. buf is room for them.
func (t turned) groups(buf []byte, m fp8.Matrix, row, col, h int) ([]byte, fp8.Matrix) {
	n, size := int(t.size), m.Elem.Size()
	if need := strip * n * size; len(buf) < need {
		buf = make([]byte, need)
	}
	for r := range n {
		from := m.Data[((row+r)*m.Stride+col)*size:]
		for c := range h {
			copy(buf[(c*n+r)*size:][:size], from[c*size:])
		}
	}
	return buf, fp8.Matrix{Data: buf[:h*n*size], Elem: m.Elem, Rows: h, Cols: n, Stride: n}
}

// turnedCoder is [turned] as a [Coder]. The statistics of rows of groups are added in
// their order, whatever the order of the parts.
type turnedCoder struct {
	turned
	whole map[int][]byte

	mu     sync.Mutex
	stats  Stats
	next   int64
	parked map[int64][]Stats
}

func newTurnedCoder(t turned, whole map[int][]byte) Coder {
	return &turnedCoder{turned: t, whole: whole, parked: map[int64][]Stats{}}
}

// Code implements [Coder].
func (t *turnedCoder) Code(out [][]byte, p Part, m fp8.Matrix) error {
	one, rows, wide := t.scratch(), make([]group.Row, strip), []byte(nil)
	list := make([]Stats, 0, p.Rows/t.size)
	err := t.bands(out, p, func(b *band) error {
		var sum Stats
		for c := 0; c < int(p.Cols); c += strip {
			h := min(strip, int(p.Cols)-c)
			var part fp8.Matrix
			wide, part = t.groups(wide, m, int(b.first), c, h)
			clear(rows)
			if err := t.format.Encode(one, rows[:h], part); err != nil {
				return err
			}
			for i := range rows[:h] {
				if rows[i].NonFinite() {
					return ErrNonFinite
				}
				sum.Add(&rows[i])
			}
			b.put(one, c, h, one.CodeStride, true)
		}
		list = append(list, sum)
		return nil
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parked[p.Row] = list
	for {
		list, ok := t.parked[t.next]
		if !ok {
			return nil
		}
		delete(t.parked, t.next)
		t.next += int64(len(list)) * t.size
		for i := range list {
			t.stats.Join(&list[i])
		}
	}
}

// Whole implements [Coder].
func (t *turnedCoder) Whole(k int) []byte { return t.whole[k] }

// Stats implements [Coder].
func (t *turnedCoder) Stats() Stats { return t.stats }
