package verify

import (
	"slices"

	"quern/convert/manifest"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/source"
)

// side is a checkpoint laid open: what its tensors are and which belong together.
type side struct {
	c       *hf.Checkpoint
	files   *source.Files
	tensors []plan.Tensor // by file and offset
	byName  map[string]*plan.Tensor
	scales  map[string]*plan.Tensor // of FP8 weights, by the weight's name
	isScale map[string]bool         // names of those scales
	packed  map[string]bool         // modules whose weights are packed or integers
	block   []int64                 // weight_block_size of the config, or nil
	ue8m0   bool                    // the config says that scales are powers of two

	manifest *manifest.Manifest // nil until readManifest, and without one
	absent   string             // why there is none
}

// newSide lays c open. An FP8 weight without scale and a scale without weight
// match invalid.Input. Experts get the numbers that order gives them, see
// [plan.Plan.Renumber]; nil leaves them as they are.
func newSide(c *hf.Checkpoint, order map[int][]int) (*side, error) {
	p := plan.New(c)
	if err := p.Renumber(order); err != nil {
		return nil, err
	}
	s := &side{
		c: c, tensors: p.Tensors, files: source.New(c, nil),
		byName: make(map[string]*plan.Tensor, len(p.Tensors)), scales: map[string]*plan.Tensor{},
		isScale: map[string]bool{}, packed: map[string]bool{},
	}
	for i := range s.tensors {
		t := &s.tensors[i]
		s.byName[t.Name] = t
		if t.Meta.Role != model.Scale && t.Meta.Weights > 0 && (!t.DType.IsFloat() || t.DType.Bits() < 8) {
			s.packed[t.Meta.Module] = true
		}
	}
	// Scales of packed weights have rules of their own, which are not known here.
	known := plan.Plan{Tensors: slices.Clone(s.tensors)}
	known.Tensors = slices.DeleteFunc(known.Tensors, func(t plan.Tensor) bool {
		return t.Meta.Role == model.Scale && s.packed[t.Meta.Module]
	})
	scales, err := plan.PairScales(&known)
	if err != nil {
		return nil, err
	}
	for weight, i := range scales {
		name := known.Tensors[i].Name
		s.scales[weight], s.isScale[name] = s.byName[name], true
	}
	s.quantization()
	return s, nil
}

// quantization reads what the config says of scales.
func (s *side) quantization() {
	if s.c.Config == nil || s.c.Config.Quant == nil {
		return
	}
	q := s.c.Config.Quant
	s.ue8m0 = q.ScaleFmt == "ue8m0"
	s.block = q.Tile()
}

// isCodes reports whether t is an FP8 weight.
func isCodes(t *plan.Tensor) bool {
	return t.Coded()
}

// role is the name of a tensor's role in tables.
func role(t *plan.Tensor) string {
	return roleOf(t.Meta.MTP, t.Meta.Role.String())
}
