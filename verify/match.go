package verify

import (
	"fmt"
	"slices"

	"quern/convert/plan"
	"quern/formats/model"
)

// comparison is what two checkpoints are asked for.
type comparison struct {
	base, cand *side
	parts      map[string]*plan.Tensor // of the baseline's fused experts, by the name of each
	recipe     *recipe                 // of a fresh quantization
	errors     []*errorCheck           // by tensor of cand, nil entries where there is none
	equals     []*equalCheck
	kept       tally    // what is wrong with tensors that were not quantized
	broken     []string // quantized tensors that cannot be measured, and why
}

// newComparison finds the counterpart of every tensor and gives the jobs, which
// are by tensor of cand, their checks.
func newComparison(base, cand *side, jobs []*job) (*comparison, error) {
	x := &comparison{
		base: base, cand: cand, kept: tally{name: "kept"},
		errors: make([]*errorCheck, len(jobs)), equals: make([]*equalCheck, len(jobs)),
	}
	var err error
	if x.recipe, err = newRecipe(cand); err != nil {
		return nil, err
	}
	if err := x.expand(); err != nil {
		return nil, err
	}
	for i, j := range jobs {
		t := j.tensor
		if cand.isScale[t.Name] {
			continue // its weight says whether it is right
		}
		b := base.byName[t.Name]
		if b == nil {
			b = x.parts[t.Name]
		}
		switch {
		case b == nil && cand.optional(t):
			continue
		case b == nil:
			x.fail(t, "the baseline has no such tensor")
			continue
		case !slices.Equal(b.Shape, t.Shape):
			x.fail(t, "shape %v, the baseline has %v", t.Shape, b.Shape)
			continue
		}
		if err := x.pair(i, j, b); err != nil {
			return nil, err
		}
	}
	x.partner()
	x.missing()
	return x, nil
}

// pair gives job i the check against its counterpart b of the same shape.
func (x *comparison) pair(i int, j *job, b *plan.Tensor) error {
	t := j.tensor
	from, number, err := x.base.newBaseline(b)
	if err != nil {
		return err
	}
	if !isCodes(t) {
		c, problem := newEqualCheck(t, from, number)
		if problem != "" {
			x.fail(t, "%s", problem)
			return nil
		}
		x.equals[i] = c
		j.against(&b.Source, c)
		if elem, ok := plan.Elem(t.DType); ok && number && from.scaled == nil && t.Meta.Quantize && len(t.Shape) == 2 && t.Shape[1] > 0 && j.bands(t.Shape[0], t.Shape[1]) {
			c.back = &returned{elem: elem, cols: int(t.Shape[1])}
		}
		return nil
	}
	codes, err := x.cand.newScaled(t)
	switch {
	case err != nil: // the gate says it, so that all others are judged as well
		x.fail(t, "%v", err)
	case !number:
		x.fail(t, "the baseline's dtype %s cannot be compared with FP8", b.DType)
	default:
		x.errors[i] = &errorCheck{codes: codes, base: from, ue8m0: x.cand.ue8m0, nearest: codesCheck{exact: from.scaled == nil}}
		j.against(&b.Source, x.errors[i])
		x.recipe.check(j, x.errors[i])
	}
	return nil
}

// partner tells the checks of fused matrices of each other.
func (x *comparison) partner() {
	fused := map[string][]*errorCheck{}
	for _, e := range x.errors {
		if e != nil && e.codes.weight.Meta.Fused != "" {
			fused[e.codes.weight.Meta.Fused] = append(fused[e.codes.weight.Meta.Fused], e)
		}
	}
	for _, list := range fused {
		for _, e := range list {
			e.partners = slices.DeleteFunc(slices.Clone(list), func(o *errorCheck) bool { return o == e })
		}
	}
}

// fail notes that t cannot be compared.
func (x *comparison) fail(t *plan.Tensor, format string, args ...any) {
	line := title(t) + ": " + fmt.Sprintf(format, args...)
	if isCodes(t) {
		x.broken = append(x.broken, line)
	} else {
		x.kept.fail("%s", line)
	}
}

// optional reports whether the other side need not have t: scales of FP8 weights,
// of activations and of caches come and go with the quantization. Scales of packed
// weights do not: those are copied.
func (s *side) optional(t *plan.Tensor) bool {
	return t.Meta.Role == model.Scale && !s.packed[t.Meta.Module]
}

// expand divides the baseline's fused experts, as far as the candidate does not
// have them as they are.
func (x *comparison) expand() error {
	x.parts = map[string]*plan.Tensor{}
	for i := range x.base.tensors {
		t := &x.base.tensors[i]
		if x.cand.byName[t.Name] != nil || !divisible(t) {
			continue
		}
		parts, err := plan.ExpertParts(*t)
		if err != nil {
			return fmt.Errorf("baseline: %w", err)
		}
		for k := range parts {
			x.parts[parts[k].Name] = &parts[k]
		}
	}
	return nil
}

// divisible reports whether t holds the matrices of all experts, in a layout in
// which each lies in one piece.
func divisible(t *plan.Tensor) bool {
	_, number := plan.Elem(t.DType)
	return t.Meta.Fused3D && t.Meta.Quantize && number && len(t.Shape) == 3
}

// missing notes what the candidate lacks.
func (x *comparison) missing() {
	for i := range x.base.tensors {
		t := &x.base.tensors[i]
		if x.cand.byName[t.Name] != nil || x.base.optional(t) {
			continue
		}
		lacks := func(t *plan.Tensor) { x.kept.fail("%s: missing; the baseline has it", title(t)) }
		if !divisible(t) {
			lacks(t)
			continue
		}
		parts, _ := plan.ExpertParts(*t) // expand has done the same
		absent := slices.DeleteFunc(parts, func(p plan.Tensor) bool { return x.cand.byName[p.Name] != nil })
		if len(absent) == len(parts) {
			lacks(t)
			continue
		}
		for k := range absent {
			lacks(&absent[k])
		}
	}
}

// keptGate sums up the tensors that were not quantized.
func (x *comparison) keptGate() Gate {
	k := x.kept
	through := x.passedThrough()
	for _, c := range x.equals {
		if c == nil {
			continue
		}
		if through && c.back != nil {
			if p := c.returnedProblem(); p != "" {
				k.fail("%s", p)
			}
			continue
		}
		if p := c.problem(); p != "" {
			k.fail("%s", p)
		}
	}
	return k.gate()
}
