package plan

import (
	"fmt"
	"path/filepath"
	"slices"

	"quern/formats/safetensors"
	"quern/scheme"
)

// Validate says what of a packed plan an engine cannot execute as it is meant: the
// mistake of a stage, not of the input. What it has passed is safe to write: every
// output has one place of its own in one file, behind the header; what one recipe
// makes lies together; and everything that is read lies within the input.
func (p *Plan) Validate() error {
	surveys, err := p.validSurveys()
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	for i := range p.Tensors { // first: what has lost its weight is to blame, not the weight
		if p.Tensors[i].Op == ScaleOf && !p.hasCoding(i) {
			return fmt.Errorf("plan: tensor %q: it is parted from its weight: nothing is quantized in its group", p.Tensors[i].Name)
		}
	}
	for i := range p.Tensors {
		if err := p.validTensor(i, surveys); err != nil {
			return fmt.Errorf("plan: tensor %q: %w", p.Tensors[i].Name, err)
		}
	}
	names := make(map[string]bool, len(p.Shards))
	shard := make([]int, len(p.Tensors)) // where each tensor lies, from 1
	for k := range p.Shards {
		s := &p.Shards[k]
		if s.Name != filepath.Base(s.Name) || !filepath.IsLocal(s.Name) || names[s.Name] {
			return fmt.Errorf("plan: %q is no name for a file, or that of two", s.Name)
		}
		names[s.Name] = true
		if err := p.validShard(k, shard); err != nil {
			return fmt.Errorf("plan: file %q: %w", s.Name, err)
		}
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		switch {
		case shard[i] == 0:
			return fmt.Errorf("plan: tensor %q lies in no file", t.Name)
		case i > 0 && t.Group == p.Tensors[i-1].Group && shard[i] != shard[i-1]:
			return fmt.Errorf("plan: tensor %q lies in another file than %q, which it is made with", t.Name, p.Tensors[i-1].Name)
		}
	}
	return nil
}

// validShard checks the layout of shard k and notes its tensors.
func (p *Plan) validShard(k int, shard []int) error {
	s := &p.Shards[k]
	if len(s.Tensors) == 0 || len(s.Offsets) != len(s.Tensors) {
		return fmt.Errorf("%d tensors at %d offsets", len(s.Tensors), len(s.Offsets))
	}
	type span struct {
		begin, end int64
		name       string
	}
	spans := make([]span, 0, len(s.Tensors)+1)
	spans = append(spans, span{0, int64(len(s.Header)), "its header"})
	for n, i := range s.Tensors {
		if i < 0 || i >= len(p.Tensors) {
			return fmt.Errorf("tensor %d of %d", i, len(p.Tensors))
		}
		t := &p.Tensors[i]
		if shard[i] != 0 {
			return fmt.Errorf("tensor %q lies in two places", t.Name)
		}
		shard[i] = k + 1
		spans = append(spans, span{s.Offsets[n], s.Offsets[n] + t.Bytes(), fmt.Sprintf("tensor %q", t.Name)})
	}
	slices.SortStableFunc(spans, func(a, b span) int {
		if a.begin != b.begin {
			return int(min(max(a.begin-b.begin, -1), 1))
		}
		return int(min(max(a.end-b.end, -1), 1))
	})
	for n := 1; n < len(spans); n++ {
		if spans[n].begin < spans[n-1].end {
			return fmt.Errorf("%s, from byte %d on, lies over %s, which ends at %d", spans[n].name, spans[n].begin, spans[n-1].name, spans[n-1].end)
		}
		if gap := spans[n].begin - spans[n-1].end; gap > 0 && spans[n].begin < spans[n].end {
			return fmt.Errorf("%d bytes before %s belong to nothing", gap, spans[n].name)
		}
	}
	if last := spans[len(spans)-1].end; last != s.Size {
		return fmt.Errorf("its size is %d, its tensors end at %d", s.Size, last)
	}
	return nil
}

// validTensor checks the recipe of tensor i.
func (p *Plan) validTensor(i int, surveys map[string]bool) error {
	t := &p.Tensors[i]
	if _, err := safetensors.SizeOf(t.DType, t.Shape); err != nil {
		return err
	}
	makes := func(dtype safetensors.DType, shape []int64) error {
		if t.DType != dtype || !slices.Equal(t.Shape, shape) {
			return fmt.Errorf("%s of %s %v does not make %s %v", t.Op, t.Source.DType, t.Source.Shape, t.DType, t.Shape)
		}
		return nil
	}
	if t.Op != Constant {
		if err := p.validView(&t.Source); err != nil {
			return err
		}
	}
	var err error
	switch t.Op {
	case Copy:
		if t.DType != t.Source.DType || t.Bytes() != t.Source.Bytes() {
			err = makes(t.Source.DType, t.Source.Shape)
		}
	case Cast:
		err = makes(safetensors.BF16, t.Source.Shape)
	case Widen:
		if n, m := elements(t.Shape), elements(t.Source.Shape); t.DType != safetensors.F32 || n != m {
			err = makes(safetensors.F32, t.Source.Shape)
		}
	case Quantize, Requantize, Recast:
		err = p.validCoding(i, surveys)
	case Dequantize:
		err = t.validDequantize(makes)
	case ScaleOf: // see validCoding
	case Constant:
		if t.DType != safetensors.F32 {
			return fmt.Errorf("a constant of dtype %s", t.DType)
		}
	default:
		return fmt.Errorf("there is no %s", t.Op)
	}
	if err != nil {
		return err
	}
	if t.Op != Dequantize && t.Op != Requantize && t.Op != Recast {
		return nil
	}
	if t.Scale == nil && t.Grid == nil && t.Written == nil {
		return fmt.Errorf("%s without scales that lie over a matrix", t.Op)
	}
	r := t.Reading()
	return p.validReading(&r)
}

// validDequantize checks what a Dequantize makes. Fused experts are read as one matrix,
// see scheme.Flat.
func (t *Tensor) validDequantize(makes func(safetensors.DType, []int64) error) error {
	read := t.Source.Shape
	if t.Written != nil {
		read = []int64{t.Written.Rows, t.Written.Cols}
	}
	if t.DType != safetensors.BF16 || !slices.Equal(scheme.Flat(t.Shape), read) {
		return makes(safetensors.BF16, read)
	}
	return nil
}

// validGrid checks that the scales of codes are there and cover them.
func (p *Plan) validGrid(t *Reading) error {
	if t.Scale == nil || t.Grid == nil || len(t.Source.Shape) != 2 {
		return fmt.Errorf("codes %q without scales that lie over a matrix", t.Source.Name)
	}
	if err := p.validView(t.Scale); err != nil {
		return err
	}
	g, rows, cols := t.Grid, t.Source.Shape[0], t.Source.Shape[1]
	if g.TileRows < 1 || g.TileCols < 1 || g.Rows < 0 || g.Cols < 0 || elements(t.Scale.Shape) != g.Rows*g.Cols {
		return fmt.Errorf("scales %v are no grid of %d×%d tiles of %d×%d", t.Scale.Shape, g.Rows, g.Cols, g.TileRows, g.TileCols)
	}
	if rows > 0 && cols > 0 && (g.Row(rows-1, rows) >= g.Rows || (cols-1)/g.TileCols >= g.Cols) {
		return fmt.Errorf("a grid of %d×%d tiles of %d×%d does not cover %v", g.Rows, g.Cols, g.TileRows, g.TileCols, t.Source.Shape)
	}
	return nil
}

// validView checks that a view lies within its file.
func (p *Plan) validView(v *View) error {
	if v.File < 0 || v.File >= len(p.Input.Files) {
		return fmt.Errorf("%q is read from file %d of %d", v.Name, v.File, len(p.Input.Files))
	}
	n, err := safetensors.SizeOf(v.DType, v.Shape)
	if err != nil {
		return fmt.Errorf("%q: %w", v.Name, err)
	}
	f := &p.Input.Files[v.File]
	if v.Order != nil {
		if len(v.Order) == 0 || len(v.Shape) == 0 || int64(len(v.Order)) != v.Shape[0] || slices.Min(v.Order) < 0 {
			return fmt.Errorf("%q of shape %v is read in an order of %d", v.Name, v.Shape, len(v.Order))
		}
		n = n / int64(len(v.Order)) * int64(slices.Max(v.Order)+1)
	}
	if v.Stride != 0 {
		if len(v.Shape) != 2 || v.Stride < v.Shape[0] || v.Stride > f.Size || v.Shape[1] > f.Size || v.Order != nil || v.DType.Bits()%8 != 0 {
			return fmt.Errorf("%q of shape %v is read with a stride of %d", v.Name, v.Shape, v.Stride)
		}
		n = v.extent()
	}
	if v.Offset < 0 || n > f.Size-f.Data-v.Offset {
		return fmt.Errorf("%q, %d bytes at %d, does not lie within %q", v.Name, n, v.Offset, f.Name)
	}
	return nil
}

// elements is the number of elements of a shape that SizeOf has accepted.
func elements(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}
