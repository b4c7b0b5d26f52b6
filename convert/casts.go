package convert

import (
	"cmp"
	"fmt"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
)

// recast makes codes of weight t, whose own are not those of a grid, those of the scheme
// that is asked for.
func (q *quantizer) recast(t plan.Tensor) ([]plan.Tensor, error) {
	to := q.written[t.Name]
	from := t.Written.Scheme
	switch {
	case q.casts(&t, to):
		t.Op = plan.Recast
	case q.Requantize:
		t.Op = plan.Requantize
	default:
		return nil, invalid.Errorf("tensor %q: it is written in %s, and no cast to %s keeps its values: accept a second rounding with --requantize, convert it to BF16 (quern convert --to bf16), or keep it with --keep", t.Source.Name, from, to.Name)
	}
	return q.coding(t)
}

// casts reports whether the codes of t are cast to a scheme: where that begins with the
// largest scale, those of all parts that share one are.
func (q *quantizer) casts(t *plan.Tensor, to *scheme.Scheme) bool {
	if t.Written == nil || !scheme.CanCast(t.Written.Scheme, to.Name) {
		return false
	}
	return !scheme.CastWantsTop(t.Written.Scheme, to.Name) || q.topped[q.survey[t.Name]]
}

// tops is the stage that asks for the largest scale, where all parts of a survey have
// codes that are cast by it.
func (q *quantizer) tops(p *plan.Plan) error {
	q.topped = map[string]bool{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		name, to := q.survey[t.Name], q.written[t.Name]
		if name == "" {
			continue
		}
		is := t.Written != nil && scheme.CastWantsTop(t.Written.Scheme, to.Name)
		if before, seen := q.topped[name]; seen {
			is = is && before
		}
		q.topped[name] = is
	}
	for i := range p.Surveys {
		p.Surveys[i].Tops = q.topped[p.Surveys[i].Name]
	}
	return nil
}

// lossless is the stage that refuses, under --lossless, what rounds, and says what was
// cast.
func (q *quantizer) lossless(p *plan.Plan) error {
	n, from := 0, ""
	for i := range p.Tensors {
		t := &p.Tensors[i]
		switch {
		case t.Op == plan.Recast:
			t.Quant.Lossless = q.Lossless
			if n++; n == 1 {
				from = scheme.BlockFP8.Name
				if t.Written != nil {
					from = t.Written.Scheme
				}
			}
		case q.Lossless && t.Op.Quantizes():
			return &UsageError{fmt.Sprintf("--lossless: %s would be rounded (%s of %s); keep it with --keep, or leave --lossless out", t.Source.Name, t.Op, t.Source.DType)}
		case t.Op == plan.Dequantize && t.DType == safetensors.BF16 && t.Meta.Role != model.Scale:
			p.Notes = append(p.Notes, fmt.Sprintf("%s is kept, and becomes BF16: %s does not hold %s", t.Name, q.Container.Name, cmp.Or(t.Written.Scheme, "its codes")))
		}
	}
	switch {
	case n > 0:
		p.Notes = append(p.Notes, fmt.Sprintf("codes of %d weights are cast, %s to %s, without a rounding where a scale reaches all; the manifest counts what was changed", n, from, q.Scheme.Name))
	case q.Lossless:
		return &UsageError{"--lossless: the input has no codes that are cast without loss to " + q.Scheme.Name}
	}
	return nil
}
