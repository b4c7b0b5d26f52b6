package runner

import (
	"fmt"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
)

// idle are the kinds of tensors that have no part in what is computed, and why. What
// is none of them and was not asked for is a part of the model that would be left out.
var idle = []struct {
	why string
	is  func(m *Model, t *plan.Tensor) bool
}{
	{"buffers, which follow from the config", func(_ *Model, t *plan.Tensor) bool { return t.Meta.Role == model.Buffer }},
	{"parts for other modalities: the text part is computed", func(_ *Model, t *plan.Tensor) bool { return t.Meta.Role == model.Vision }},
	{"scales of a cache in FP8: keys and values are kept in float32", func(_ *Model, t *plan.Tensor) bool { return plan.IsCacheScale(&t.Meta) }},
	{"scales of activations, which are used where they are emulated", func(_ *Model, t *plan.Tensor) bool {
		return plan.IsInputScale(t.Meta.Param)
	}},
	{"weights of experts that give what they read (zero_expert_num)", func(m *Model, t *plan.Tensor) bool {
		return t.Meta.Role == model.RoutedExpert && m.cfg.SpareExpert(t.Meta.Expert)
	}},
	{"multi-token prediction, which is not computed for this architecture or lacks its projection", func(m *Model, t *plan.Tensor) bool { return t.Meta.MTP && m.mtp == nil }},
	{"further layers of multi-token prediction: the first one is computed", func(m *Model, t *plan.Tensor) bool { return t.Meta.MTP && t.Meta.Layer > m.cfg.NumHiddenLayers }},
}

// account finds every tensor of the checkpoint among those that were asked for or those
// that are idle, which it names by their kind. Another one is an error: engines may
// compute with it, and figures without it would be those of another model.
func (b *builder) account(m *Model) ([]string, error) {
	count, first := make([]int, len(idle)), make([]string, len(idle))
	for i := range b.all {
		t := &b.all[i]
		if b.used[t.Name] || t.Meta.Role == model.Scale && b.used[t.Meta.ScaleOf] && t.Meta.Multiplies {
			continue
		}
		kind := kindOf(m, t)
		if kind < 0 {
			return nil, invalid.Errorf("tensor %q: the runner has no use for it in a %s with this config, and leaving it out would make another model%s", t.Name, b.c.Arch().Name(), b.hint(m.fam, t))
		}
		if count[kind] == 0 {
			first[kind] = t.Name
		}
		count[kind]++
	}
	var remarks []string
	if b.lacksMTP {
		remarks = append(remarks, "config.json declares multi-token prediction, of which the checkpoint has no tensor")
	}
	for i, n := range count {
		if n > 0 {
			remarks = append(remarks, fmt.Sprintf("not used: %d tensors, %s first: %s", n, first[i], idle[i].why))
		}
	}
	return remarks, nil
}

// kindOf is the kind of idle tensors that t is of, -1 if none.
func kindOf(m *Model, t *plan.Tensor) int {
	for i := range idle {
		if idle[i].is(m, t) {
			return i
		}
	}
	return -1
}

// hint says which field of the config would give a tensor its use.
func (b *builder) hint(f *family, t *plan.Tensor) string {
	switch {
	case t.Meta.Role == model.Bias && f.biasField != "" && !f.biased(b.c.Config, t.Meta.Part):
		for _, p := range f.biases {
			if p == t.Meta.Part {
				return fmt.Sprintf(" (%q is not true in config.json)", f.biasField)
			}
		}
	case t.Meta.Role == model.Norm && f.headNorm != never && (t.Meta.Part == "q_norm" || t.Meta.Part == "k_norm"):
		return ` ("use_qk_norm" is not true in config.json)`
	}
	return ""
}
