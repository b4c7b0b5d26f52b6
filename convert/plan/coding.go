package plan

import (
	"fmt"
	"slices"

	"quern/formats/safetensors"
	"quern/scheme"
)

// Quant says how Quantize and Requantize write a matrix.
type Quant struct {
	Scheme string `json:"scheme,omitempty"` // as scheme.Find has it: "" is block FP8
	// Params are the scheme's settings. UE8M0 is also set for codes that are copied,
	// where the input's scales are known to be powers of two.
	scheme.Params
	// Channels, for SearchWeighted, is the module whose input channels' mean
	// squares weigh the columns. The calibration file has them; an engine gets
	// them beside the plan.
	Channels string `json:"channels,omitempty"`
	// Lossless, of a Recast, makes values that would change an error.
	Lossless bool `json:"lossless,omitempty"`
	// Survey names the one of Plan.Surveys that has the largest magnitude, for schemes
	// that begin with it.
	Survey string `json:"survey,omitempty"`
}

// Survey is a largest magnitude that is to be known before codings begin: of a weight,
// or of all weights that must share a scale, in whatever files they lie.
type Survey struct {
	Name string    `json:"name"`
	Of   []Reading `json:"of"`
	// Tops: not the largest weight is asked for but the largest scale, of codes that are
	// cast.
	Tops bool `json:"tops,omitempty"`
}

// Reading is a matrix of the input, in numbers or in codes.
type Reading struct {
	Source  View     `json:"source"`
	Scale   *View    `json:"scale,omitempty"` // codes by a grid: their scales
	Grid    *Grid    `json:"grid,omitempty"`
	Written *Written `json:"written,omitempty"` // all other codes
}

// Written says how the codes of a source are written where that is not by a Grid.
type Written struct {
	Scheme string `json:"scheme"`
	scheme.Params
	Rows   int64  `json:"rows"` // of the matrix
	Cols   int64  `json:"cols"`
	Scales []View `json:"scales"` // in the order of the scheme's outputs, codes left out

	shape []int64 // of the weight in numbers, where it is not the stored one with Cols at its end
}

// Reading is what t is made from.
func (t *Tensor) Reading() Reading {
	return Reading{Source: t.Source, Scale: t.Scale, Grid: t.Grid, Written: t.Written}
}

// Matrix is the shape of the matrix that is read, whatever its codes take.
func (r *Reading) Matrix() (rows, cols int64) {
	if r.Written != nil {
		return r.Written.Rows, r.Written.Cols
	}
	return r.Source.Shape[0], r.Source.Shape[1]
}

// Outputs are the tensors that the coding of tensor i makes, in the order of its
// scheme's outputs: i itself, then its scales, which lie in its group. The error says
// which one is missing, or there twice.
func (p *Plan) Outputs(i int) ([]int, error) {
	t := &p.Tensors[i]
	s, err := scheme.Find(t.Quant.Scheme)
	if err != nil {
		return nil, err
	}
	r := t.Reading()
	rows, cols := r.Matrix()
	list := make([]int, len(s.Outputs(t.Quant.Params, rows, cols)))
	list[0] = i
	begin, end := p.group(i)
	for k := begin; k < end; k++ {
		o := &p.Tensors[k]
		switch {
		case o.Op.Quantizes() && k != i:
			return nil, fmt.Errorf("%q is quantized in its group too", o.Name)
		case o.Op != ScaleOf:
		case o.Nth < 0 || o.Nth+1 >= len(list):
			return nil, fmt.Errorf("%q is scale %d of %d", o.Name, o.Nth+1, len(list)-1)
		case list[o.Nth+1] != 0:
			return nil, fmt.Errorf("%q and %q are the same scale", p.Tensors[list[o.Nth+1]].Name, o.Name)
		default:
			list[o.Nth+1] = k
		}
	}
	for n, k := range list {
		if n > 0 && k == 0 {
			return nil, fmt.Errorf("its scale does not follow it")
		}
	}
	return list, nil
}

// group returns the tensors around i that share its group.
func (p *Plan) group(i int) (begin, end int) {
	g := p.Tensors[i].Group
	for begin = i; begin > 0 && p.Tensors[begin-1].Group == g; begin-- {
	}
	for end = i + 1; end < len(p.Tensors) && p.Tensors[end].Group == g; end++ {
	}
	return begin, end
}

// Coded reports whether t is a weight of codes: those that its scheme makes, or that it
// was found with.
func (t *Tensor) Coded() bool {
	return t.Op.Quantizes() || t.Op != Dequantize && scheme.Coded(t.DType, &t.Meta)
}

// validCoding checks a coding and everything that it makes.
func (p *Plan) validCoding(i int, surveys map[string]bool) error {
	t := &p.Tensors[i]
	s, err := scheme.Find(t.Quant.Scheme)
	if err != nil {
		return err
	}
	r := t.Reading()
	if len(t.Shape) != 2 && s.Plain() == s || r.Written == nil && len(t.Source.Shape) != 2 {
		return fmt.Errorf("shape %v is no matrix", t.Shape)
	}
	rows, cols := r.Matrix()
	if err := s.Check(t.Quant.Params, rows, cols); err != nil {
		return err
	}
	made := s.Outputs(t.Quant.Params, rows, cols)
	list, err := p.Outputs(i)
	if err != nil {
		return err
	}
	for n, k := range list {
		o := &p.Tensors[k]
		if o.DType == made[n].DType && slices.Equal(o.Shape, made[n].Shape) {
			continue
		}
		if n == 0 {
			return fmt.Errorf("%s of %s %v does not make %s %v", t.Op, t.Source.DType, t.Source.Shape, t.DType, t.Shape)
		}
		return fmt.Errorf("%s %v of %q are no scales of %v", o.DType, o.Shape, o.Name, t.Shape)
	}
	if t.Op == Recast {
		from := ""
		if t.Written != nil {
			from = t.Written.Scheme
		}
		if !scheme.CanCast(from, s.Name) {
			return fmt.Errorf("there is no cast from %q to %s", from, s.Name)
		}
		if scheme.CastWantsTop(from, s.Name) && !surveys[t.Quant.Survey] {
			return fmt.Errorf("there is no survey %q of its largest scale", t.Quant.Survey)
		}
		return nil
	}
	if s.Survey && !surveys[t.Quant.Survey] {
		return fmt.Errorf("there is no survey %q of its largest magnitude", t.Quant.Survey)
	}
	return nil
}

// hasCoding reports whether something is quantized in the group of tensor i.
func (p *Plan) hasCoding(i int) bool {
	begin, end := p.group(i)
	return slices.ContainsFunc(p.Tensors[begin:end], func(t Tensor) bool { return t.Op.Quantizes() })
}

// validReading checks that what is read lies within the input and fits together.
func (p *Plan) validReading(r *Reading) error {
	if err := p.validView(&r.Source); err != nil {
		return err
	}
	switch {
	case r.Written != nil:
		return p.validWritten(r)
	case r.Scale != nil || r.Grid != nil:
		return p.validGrid(r)
	}
	return nil
}

// validWritten checks codes of a scheme that has no grid.
func (p *Plan) validWritten(r *Reading) error {
	w := r.Written
	s, err := scheme.Find(w.Scheme)
	if err != nil {
		return err
	}
	if s.Decode == nil || w.Rows < 1 || w.Cols < 1 {
		return fmt.Errorf("%q: codes of %s are not read so", r.Source.Name, w.Scheme)
	}
	if err := s.Check(w.Params, w.Rows, w.Cols); err != nil {
		return err
	}
	outputs := s.Outputs(w.Params, w.Rows, w.Cols)
	if len(w.Scales) != len(outputs)-1 {
		return fmt.Errorf("%q has %d scales, %s has %d", r.Source.Name, len(w.Scales), w.Scheme, len(outputs)-1)
	}
	for n := range outputs {
		v := &r.Source
		if n > 0 {
			v = &w.Scales[n-1]
			if err := p.validView(v); err != nil {
				return err
			}
		}
		want, err := safetensors.SizeOf(outputs[n].DType, outputs[n].Shape)
		if err != nil || v.Bytes() != want {
			return fmt.Errorf("%q of %s %v does not fit a matrix of %d×%d in %s", v.Name, v.DType, v.Shape, w.Rows, w.Cols, w.Scheme)
		}
	}
	return nil
}

// validSurveys checks that every survey has a name of its own and something to read,
// and returns the names.
func (p *Plan) validSurveys() (map[string]bool, error) {
	names := make(map[string]bool, len(p.Surveys))
	for i := range p.Surveys {
		s := &p.Surveys[i]
		if s.Name == "" || names[s.Name] || len(s.Of) == 0 {
			return nil, fmt.Errorf("survey %q of %d tensors has no name, or that of another, or nothing to read", s.Name, len(s.Of))
		}
		names[s.Name] = true
		for k := range s.Of {
			r := &s.Of[k]
			if r.Written == nil && len(r.Source.Shape) != 2 {
				return nil, fmt.Errorf("survey %q: shape %v of %q is no matrix", s.Name, r.Source.Shape, r.Source.Name)
			}
			if err := p.validReading(r); err != nil {
				return nil, fmt.Errorf("survey %q: %w", s.Name, err)
			}
		}
	}
	return names, nil
}
