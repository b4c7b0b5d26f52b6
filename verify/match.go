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
	errors     []measured              // by tensor of cand, nil entries where there is none
	equals     []*equalCheck
	kept       tally    // what is wrong with tensors that were not quantized
	broken     []string // quantized tensors that cannot be measured, and why
}

// newComparison finds the counterpart of every tensor and gives the jobs, which
// are by tensor of cand, their checks.
func newComparison(base, cand *side, jobs []*job, calibration Calibration) (*comparison, error) {
	x := &comparison{
		base: base, cand: cand, kept: tally{name: "kept"},
		errors: make([]measured, len(jobs)), equals: make([]*equalCheck, len(jobs)),
	}
	var err error
	if x.recipe, err = newRecipe(cand, calibration); err != nil {
		return nil, err
	}
	if err := x.expand(); err != nil {
		return nil, err
	}
	for i, j := range jobs {
		t := j.tensor
		if cand.isScale[t.Name] || cand.isGroup[t.Name] {
			continue // its weight says whether it is right
		}
		b := base.find(cand.nameOf(t))
		if b == nil {
			b = x.parts[cand.nameOf(t)]
		}
		switch {
		case b == nil && cand.optional(t):
			continue
		case b == nil:
			x.fail(t, "the baseline has no such tensor")
			continue
		case !slices.Equal(base.shapeOf(b), cand.shapeOf(t)):
			x.fail(t, "shape %v, the baseline has %v", cand.shapeOf(t), base.shapeOf(b))
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
	if w := x.cand.written[t.Name]; w != nil {
		codes, ok := newWritten(w, &t.Source, x.cand.files)
		switch {
		case !ok:
			x.fail(t, "codes of %s are not compared here; convert both to BF16 (quern convert --to bf16)", w.Scheme)
		case !number:
			x.fail(t, "the baseline's dtype %s has no values to compare with", b.DType)
		default:
			x.errors[i] = newWrittenCheck(j, x, codes, from)
		}
		return nil
	}
	if !isCodes(t) {
		c, problem := newEqualCheck(t, from, number)
		if problem != "" {
			x.fail(t, "%s", problem)
			return nil
		}
		x.equals[i] = c
		j.against(from, c)
		if elem, ok := plan.Elem(t.DType); ok && number && from.scaled == nil && t.Meta.Quantize && len(t.Shape) == 2 && t.Shape[1] > 0 && j.bands(t.Shape[0], t.Shape[1], partBytes) {
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
		c := &errorCheck{codes: codes, base: from, ue8m0: x.cand.ue8m0, nearest: codesCheck{exact: from.scaled == nil}}
		x.errors[i] = c
		j.against(from, c)
		x.recipe.check(j, c)
	}
	return nil
}

// partner tells the checks of fused matrices of each other.
func (x *comparison) partner() {
	fused := map[string][]*baseline{}
	for _, e := range x.errors {
		if e != nil && e.weight().Meta.Fused != "" {
			fused[e.weight().Meta.Fused] = append(fused[e.weight().Meta.Fused], e.source())
		}
	}
	for _, e := range x.errors {
		if e != nil && e.weight().Meta.Fused != "" {
			e.share(fused[e.weight().Meta.Fused])
		}
	}
}

// fail notes that t cannot be compared.
func (x *comparison) fail(t *plan.Tensor, format string, args ...any) {
	line := title(t) + ": " + fmt.Sprintf(format, args...)
	if isCodes(t) || x.cand.written[t.Name] != nil {
		x.broken = append(x.broken, line)
	} else {
		x.kept.fail("%s", line)
	}
}

// optional reports whether the other side need not have t: scales of FP8 weights,
// of activations and of caches come and go with the quantization, and so do those of
// packed weights that are read. Others do not: those are copied.
func (s *side) optional(t *plan.Tensor) bool {
	return t.Meta.Role == model.Scale && (s.isGroup[t.Name] || !s.packed[t.Meta.Module] || plan.IsInputScale(t.Meta.Param))
}

// expand divides the baseline's fused experts, as far as the candidate does not
// have them as they are.
func (x *comparison) expand() error {
	x.parts = map[string]*plan.Tensor{}
	for i := range x.base.tensors {
		t := &x.base.tensors[i]
		if x.cand.find(x.base.nameOf(t)) != nil {
			continue
		}
		parts, err := x.base.parts(t)
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
		if x.cand.find(x.base.nameOf(t)) != nil || x.base.optional(t) {
			continue
		}
		lacks := func(t *plan.Tensor) { x.kept.fail("%s: missing; the baseline has it", title(t)) }
		parts, _ := x.base.parts(t) // expand has done the same
		if parts == nil {
			lacks(t)
			continue
		}
		absent := slices.DeleteFunc(parts, func(p plan.Tensor) bool { return x.cand.find(p.Name) != nil })
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
