package convert

import (
	"fmt"
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/internal/invalid"
	"quern/scheme"
)

// stack decides what becomes of tensor i, the experts of a layer of an architecture whose
// engines read them in one tensor only.
func (q *quantizer) stack(p *plan.Plan, i int) error {
	t := &p.Tensors[i]
	s := q.schemeOf(&t.Meta)
	switch {
	case s == nil:
		t.Why = q.option(t)
		return nil
	case q.keepFused(t) != "":
		t.Why = q.keepFused(t)
		return nil
	case s.Stacked() == nil:
		if s != scheme.BlockFP8 {
			t.Why = fmt.Sprintf("no engine reads %s in the fused experts of %s", s.Name, q.checkpoint.Arch().Name())
		}
		if !slices.ContainsFunc(p.Notes, func(n string) bool { return strings.Contains(n, stackNote) }) {
			p.Notes = append(p.Notes, fmt.Sprintf("the experts of %s are kept: engines read them in one tensor of a layer, "+stackNote, q.checkpoint.Arch().Name()))
		}
		return nil
	}
	if want, ok := q.checkpoint.Arch().ExpectedShape(t.Meta); ok && !slices.Equal(want, t.Shape) {
		return invalid.Errorf("tensor %q: shape %v is not the one of the config, %v", t.Name, t.Shape, want)
	}
	if t.Written == nil { // the experts below each other
		t.Source.Shape = []int64{t.Shape[0] * t.Shape[1], t.Shape[2]}
	}
	q.quantized[i], q.written[t.Name] = true, s.Stacked()
	return nil
}

const stackNote = "which --to mxfp4 and --to nvfp4 write"

// stacked are the schemes of the options as the experts of the checkpoint have them: where
// those stay in one tensor, in its form.
func (q *quantizer) stacked(p *plan.Plan) []*scheme.Scheme {
	list := q.Schemes()
	if !slices.ContainsFunc(p.Tensors, func(t plan.Tensor) bool { return t.Meta.Whole }) {
		return list
	}
	experts := q.scheme()
	if i := slices.IndexFunc(q.Roles, func(r RoleScheme) bool { return r.Role == "experts" }); i >= 0 {
		experts = q.Roles[i].Scheme
	}
	if experts == nil || experts.Stacked() == nil {
		return list
	}
	others := experts == q.scheme() && !experts.Experts
	for _, r := range q.Roles {
		others = others || r.Role != "experts" && r.Scheme == experts
	}
	if others { // matrices of other roles have the plain form
		return append(list, experts.Stacked())
	}
	list[slices.Index(list, experts)] = experts.Stacked()
	return list
}

// stackAmax is the largest magnitude that any of the experts in one tensor is applied to.
func (q *quantizer) stackAmax(t *plan.Tensor) (most float32, reached bool, err error) {
	for e := range q.checkpoint.Arch().Config().NumExperts {
		module := t.Meta.ExpertModule(e, t.Meta.Part)
		if q.Calibration.Count(module) == 0 {
			continue
		}
		amax, ok := q.Calibration.InputAmax(module)
		if amax, err = maximum(amax, ok, "largest input", module); err != nil {
			return 0, true, err
		}
		most, reached = max(most, amax), true
	}
	return most, reached, nil
}
