package convert

import (
	"fmt"
	"strings"

	"quern/convert/container"
	"quern/convert/plan"
	"quern/formats/model"
	"quern/scheme"
)

// SchemeSize is how large the output of a plan would be in a scheme.
type SchemeSize struct {
	Scheme string `json:"scheme"`
	Bytes  int64  `json:"bytes,omitempty"` // of tensors, scales included
	// Why says which matrix cannot be written so; "" if all can.
	Why string `json:"why,omitempty"`
}

// Sizes are those of p, a quantization, had --to named another scheme in its default
// container: what is kept for other reasons stays kept.
func Sizes(p *plan.Plan) []SchemeSize {
	list := make([]SchemeSize, len(scheme.All))
	for i, s := range scheme.All {
		list[i] = sizeIn(p, s)
	}
	return list
}

func sizeIn(p *plan.Plan, s *scheme.Scheme) SchemeSize {
	size := SchemeSize{Scheme: s.Name}
	params, more := scheme.Params{}, int64(0)
	if c, err := container.For("", s); err == nil {
		f := c.Forms[s.Name]
		params = f.Params()
		if f.InputScale != 0 {
			more = 4
		}
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		switch {
		case t.Op == plan.ScaleOf || t.Op == plan.Constant && t.Meta.ScaleOf != "" || t.Op == plan.Widen && t.Meta.Role == model.Scale:
			continue // in the size of its weight
		case !meant(t):
			size.Bytes += t.Bytes()
			continue
		}
		r := t.Reading()
		rows, cols := r.Matrix()
		if s.Experts && t.Meta.Role != model.RoutedExpert {
			wide := t.Source.Bytes()
			if t.Coded() && t.Op != plan.Quantize {
				wide = 2 * rows * cols
			}
			size.Bytes += wide
			continue
		}
		if err := s.Check(params, rows, cols); err != nil {
			return SchemeSize{Scheme: s.Name, Why: fmt.Sprintf("%s: %v", t.Source.Name, err)}
		}
		size.Bytes += s.Bytes(params, rows, cols) + more
	}
	return size
}

// meant reports whether a scheme that means all linears would mean t.
func meant(t *plan.Tensor) bool {
	return t.Coded() || t.Op == plan.Copy && t.Meta.Role.Linear() && t.Meta.Quantize && len(t.Shape) == 2 && strings.HasPrefix(t.Why, "--to ")
}
