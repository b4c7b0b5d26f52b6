package verify

import (
	"fmt"
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/invalid"
)

// related refuses a baseline that is another model: of which not even half of the
// candidate's tensors have a counterpart of the same shape. Nothing that could be
// measured then would say anything.
func related(base, cand *side) error {
	parts := map[string]*plan.Tensor{}
	for i := range base.tensors {
		t := &base.tensors[i]
		if cand.find(base.nameOf(t)) == nil {
			list, err := base.parts(t)
			if err != nil {
				return fmt.Errorf("baseline: %w", err)
			}
			for k := range list {
				parts[list[k].Name] = &list[k]
			}
		}
	}
	all, alike := 0, 0
	for i := range cand.tensors {
		t := &cand.tensors[i]
		if cand.optional(t) {
			continue
		}
		all++
		b := base.find(cand.nameOf(t))
		if b == nil {
			b = parts[cand.nameOf(t)]
		}
		if b != nil && slices.Equal(base.shapeOf(b), cand.shapeOf(t)) {
			alike++
		}
	}
	if all < fewTensors || 2*alike >= all {
		return nil
	}
	return invalid.Errorf("%s: the baseline is another model: %d of the checkpoint's %d tensors have a counterpart of the same name and shape there%s", base.c.Path, alike, all, otherConfig(base.c, cand.c))
}

// fewTensors is how many tensors a checkpoint has to have to be told from another by
// them.
const fewTensors = 8

// otherConfig says in what the configs of two models differ at first sight.
func otherConfig(base, cand *hf.Checkpoint) string {
	var parts []string
	for _, key := range []string{"model_type", "hidden_size", "num_hidden_layers", "vocab_size", "n_routed_experts", "num_experts"} {
		a, b := base.ConfigValue.Get(key), cand.ConfigValue.Get(key)
		if a != nil && b != nil && a.Text != b.Text {
			parts = append(parts, fmt.Sprintf("%s %s instead of %s", key, a.Brief(), b.Brief()))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// unrelatedDB is the ratio below which a matrix has nothing in common with its
// baseline. Two matrices of the same size that know nothing of each other have −3 dB,
// zeros have 0; codes three bits short have 13.
const unrelatedDB = 2

// unrelated says that the weights are another model's, "" if they are not: that more
// than half of the matrices have nothing in common with the baseline's.
func (x *comparison) unrelated() string {
	all, apart := 0, 0
	for i, e := range x.errors {
		switch {
		case e != nil:
			all++
			if db := e.energy().sqnr(); db != nil && *db < unrelatedDB {
				apart++
			}
		case x.equals[i] != nil && len(x.equals[i].tensor.Shape) >= 2:
			all++
			if x.equals[i].unrelated() {
				apart++
			}
		}
	}
	if all < fewTensors || 2*apart <= all {
		return ""
	}
	return fmt.Sprintf("the baseline is another model: %d of %d matrices have nothing in common with its", apart, all)
}

// unrelated reports whether the tensor has nothing in common with its baseline: by the
// ratio where there is one, else if most values differ.
func (c *equalCheck) unrelated() bool {
	if c.back == nil || c.count == 0 {
		return 2*c.count > elements(c.tensor.Shape)
	}
	db := c.back.sum.sqnr()
	return db != nil && *db < unrelatedDB
}
