package plan

import (
	"slices"
	"strings"

	"quern/formats/foreign"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
)

// Unpack has the weights of p, the plan of c, whose codes lie under no [Grid] decoded to
// BF16, and leaves out their scales. Names, shapes and meanings are those of the weights
// in numbers. read has the names of the input's tensors that are read so. What else of
// the scales of such a module there is, those of its input, stays.
func Unpack(p *Plan, c *hf.Checkpoint) (read map[string]bool, err error) {
	arch := c.Arch()
	found, scales, err := PackedOf(p, c)
	if err != nil {
		return nil, err
	}
	read = scales
	modules := make(map[string]bool, len(found))
	for i := range found {
		modules[p.Tensors[i].Meta.Module] = true
		read[p.Tensors[i].Name] = true
	}
	if err := foreign.RefuseBut(c, func(name string) bool { return read[name] }); err != nil || len(found) == 0 {
		return nil, err
	}
	out := make([]Tensor, 0, len(p.Tensors))
	for i := range p.Tensors {
		t := p.Tensors[i]
		w := found[i]
		switch {
		case w != nil:
			if err := t.unpack(w, arch); err != nil {
				return nil, err
			}
		case read[t.Name]:
			continue
		case t.Meta.Param == "pre_quant_scale" && modules[t.Meta.Module]:
			return nil, invalid.Errorf("tensor %q: factors of the input of %q, which are not read: start from a checkpoint that was quantized without them", t.Name, t.Meta.ScaleOf)
		}
		if !t.Meta.Switched() || t.Written == nil {
			out = append(out, t)
			continue
		}
		// Experts as MLX stores them have no names that other programs know.
		parts, err := ExpertParts(t)
		if err != nil {
			return nil, err
		}
		out = append(out, parts...)
	}
	p.Tensors = out
	p.Regroup(func(int) bool { return false })
	return read, nil
}

// PackedOf finds the weights of p, the plan of c, whose codes lie under no [Grid], by the
// index of their tensor, with where their scales are. It also returns the names of those
// scales. The error blames a set of tensors that do not fit together.
func PackedOf(p *Plan, c *hf.Checkpoint) (found map[int]*Written, scales map[string]bool, err error) {
	var config *model.Quantization
	if c.Config != nil {
		config = c.Config.Quant
	}
	return packedIn(p, config, c.Arch().ExpectedShape)
}

// packedWords are the endings of parameters that hold codes, and what a weight in
// numbers is called instead.
var packedWords = []struct{ packed, number string }{
	{"weight_packed", "weight"}, {"qweight", "weight"}, {"_blocks", ""},
}

// unpack makes t the weight that its codes stand for.
func (t *Tensor) unpack(w *Written, arch *model.Arch) error {
	t.Name, t.Shape = w.Plain(t)
	t.Op, t.DType, t.Written = Dequantize, safetensors.BF16, w
	t.Meta = arch.Classify(t.Name, t.DType, t.Shape)
	t.Why = t.Meta.Why
	if want, ok := arch.ExpectedShape(t.Meta); ok && !slices.Equal(want, t.Shape) {
		return invalid.Errorf("tensor %q: %s is a weight of shape %v as %s has it, but the config says %v", t.Source.Name, t.Source.DType, t.Shape, w.Scheme, want)
	}
	return nil
}

// Refuse is the error that names the quantized form of c that is not read; nil when all of
// it is.
func Refuse(c *hf.Checkpoint) error {
	_, err := Unpack(New(c), c)
	return err
}

// Plain is the name and shape that a weight of codes has in numbers.
func (w *Written) Plain(t *Tensor) (name string, shape []int64) {
	name = t.Name
	for _, x := range packedWords {
		if base, ok := strings.CutSuffix(name, x.packed); ok {
			name = base + x.number
			break
		}
	}
	switch n := len(t.Source.Shape) - 1; {
	case w.shape != nil:
		return name, w.shape
	case n > 1:
		return name, append(slices.Clone(t.Source.Shape[:n]), w.Cols)
	}
	return name, []int64{w.Rows, w.Cols}
}

// WrittenParts are the [ExpertParts] of codes in one tensor; nil where t is of another
// kind.
func WrittenParts(t Tensor, w *Written, arch *model.Arch) ([]Tensor, error) {
	if err := t.unpack(w, arch); err != nil {
		return nil, err
	}
	if !t.Meta.Fused3D || len(t.Shape) != 3 {
		return nil, nil
	}
	return ExpertParts(t)
}

// matrix is the matrix of expert e of packed experts, [experts, out, in] whatever way it is
// stored, or rows of it.
func (t *Tensor) matrix(e, first, rows int64) (Tensor, error) {
	w := *t.Written
	out := *t
	out.Source, w.Scales = t.Source, slices.Clone(w.Scales)
	views := func(fn func(v *View, n int64)) {
		for n := range len(w.Scales) + 1 {
			v := &out.Source
			if n > 0 {
				v = &w.Scales[n-1]
			}
			fn(v, int64(n))
		}
	}
	row := e*w.Rows/t.Shape[0] + first
	if w.Scheme == scheme.NVFP4Turned.Name && first == 0 && rows == t.Shape[2] {
		views(func(v *View, _ int64) {
			if n := v.Bytes() / t.Shape[0]; len(v.Shape) > 1 {
				v.Offset += index(v, e) * n
				v.Shape, v.Order = v.Shape[1:], nil
			}
		})
		w.Scheme, w.Params, w.shape = scheme.NVFP4Across.Name, scheme.Params{}, nil
		w.Rows, w.Cols = t.Shape[2], t.Shape[1]
		out.Shape, out.Written = []int64{w.Rows, w.Cols}, &w
		return out, nil
	}
	if w.Scheme == scheme.MXFP4Turned.Name {
		views(func(v *View, _ int64) {
			v.Offset += index(v, e) * v.Bytes() / t.Shape[0]
			v.Order = nil
		})
		w.Scheme, w.Params, w.shape = scheme.MXFP4.Name, scheme.Params{}, nil
		w.Cols, w.Rows = t.Shape[1], t.Shape[2]
		row = first
	}
	s, err := scheme.Find(w.Scheme)
	if err != nil {
		return out, err
	}
	layouts := s.Outputs(w.Params, w.Rows, w.Cols)
	each := w.Each
	if w.Each > 0 {
		w.Each = rows
	}
	if n := len(layouts) - 1; w.Shape != 0 { // the shape of all of it
		w.Shape, w.Scales, layouts = 0, w.Scales[:n-1], layouts[:n]
	}
	w.Rows = rows
	if w.Scheme == scheme.NVFP4Stack.Name && t.Written.Each > 0 && row/each == (row+rows-1)/each {
		w.Scheme, w.Params = scheme.NVFP4.Name, scheme.Params{Divides: w.Divides}
		s = scheme.NVFP4
	}
	made := s.Outputs(w.Params, w.Rows, w.Cols)
	views(func(v *View, n int64) {
		lay := &layouts[n]
		switch {
		case lay.Kind == scheme.TensorScale && each > 0:
			v.Offset += index(v, row/each) * v.DType.Bits() / 8
		case lay.Whole():
			return
		case row%lay.TileRows != 0 || rows%lay.TileRows != 0 || lay.Across > 0:
			err = invalid.Errorf("tensor %q: the rows of one expert are not whole words of %s", t.Source.Name, v.Name)
		default:
			at := row
			if v.Order != nil { // by experts
				per := t.Written.Rows / t.Shape[0]
				at = index(v, row/per)*per + row%per
			}
			at, _, _, _ = lay.Place(scheme.Part{Row: at, Rows: rows, Cols: w.Cols}, w.Cols)
			v.Offset += at
		}
		v.Shape, v.Order = made[n].Shape, nil
	})
	out.Shape, out.Written = []int64{rows, w.Cols}, &w
	return out, err
}

// index is where slab i of a view is stored.
func index(v *View, i int64) int64 {
	if v.Order != nil {
		return int64(v.Order[i])
	}
	return i
}

// Expert is the matrix [out, in] of expert e of packed experts in one tensor.
func (t *Tensor) Expert(e int) (Tensor, error) {
	rows := t.Shape[1]
	if s := t.Written.Scheme; s == scheme.MXFP4Turned.Name || s == scheme.NVFP4Turned.Name {
		rows = t.Shape[2]
	}
	return t.matrix(int64(e), 0, rows)
}
