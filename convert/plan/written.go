package plan

import (
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
)

// packedIn finds the weights of p whose codes lie under no [Grid], by the index of their
// tensor, with where their scales are. It also returns the names of those scales. config
// is what config.json says of the quantization, or nil. The error blames a set of
// tensors that do not fit together. expect knows the
// shapes of weights in numbers.
func packedIn(p *Plan, config *model.Quantization, expect func(model.Tensor) ([]int64, bool)) (found map[int]*Written, scales map[string]bool, err error) {
	byName := make(map[string]int, len(p.Tensors))
	for i := range p.Tensors {
		byName[p.Tensors[i].Name] = i
	}
	stored := func(t *Tensor) scheme.Stored {
		return scheme.Stored{Name: t.Name, DType: t.DType, Shape: t.Shape, Meta: &t.Meta, Config: config}
	}
	found, scales = map[int]*Written{}, map[string]bool{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		w := stored(t)
		if t.Meta.Weights > 0 && t.Meta.Role != model.Scale {
			m := t.Meta
			m.Weights = 1
			if shape, ok := expect(m); ok && len(shape) > 0 {
				w.Expect = shape[len(shape)-1]
			}
		}
		f, ok := scheme.Recognise(&w, func(param string) (scheme.Stored, bool) {
			k, ok := byName[t.Meta.Module+"."+param]
			if !ok {
				return scheme.Stored{}, false
			}
			return stored(&p.Tensors[k]), true
		})
		if !ok || f.Decode == nil {
			continue
		}
		x := &Written{Scheme: f.Name, Params: f.Params, Rows: f.Rows, Cols: f.Cols, shape: f.Shape}
		for _, name := range f.Scales {
			x.Scales = append(x.Scales, p.Tensors[byName[name]].Source)
			scales[name] = true
		}
		if err := x.fits(t); err != nil {
			return nil, nil, err
		}
		found[i] = x
	}
	return found, scales, nil
}

// fits refuses codes and scales that are not those of one matrix.
func (w *Written) fits(t *Tensor) error {
	s, err := scheme.Find(w.Scheme)
	if err != nil {
		return err
	}
	if w.Rows < 1 || w.Cols < 1 {
		return invalid.Errorf("tensor %q: codes of shape %v are no matrix", t.Name, t.Shape)
	}
	if err := s.Check(w.Params, w.Rows, w.Cols); err != nil {
		return invalid.Errorf("tensor %q: %w", t.Name, err)
	}
	for n, o := range s.Outputs(w.Params, w.Rows, w.Cols) {
		v := &t.Source
		if n > 0 {
			v = &w.Scales[n-1]
		}
		want, err := safetensors.SizeOf(o.DType, o.Shape)
		if err != nil || n > 0 && v.DType.Bits() != o.DType.Bits() || v.Bytes() != want { // codes may be in words
			return invalid.Errorf("tensor %q: %s %v does not fit %q, a matrix of %d×%d in %s, which asks for %s %v", v.Name, v.DType, v.Shape, t.Name, w.Rows, w.Cols, w.Scheme, o.DType, o.Shape)
		}
	}
	return nil
}
