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
	scales  map[string]*plan.Tensor  // of FP8 weights, by the weight's name
	isScale map[string]bool          // names of those scales
	packed  map[string]bool          // modules whose weights are packed or integers
	written map[string]*plan.Written // codes that lie under no grid, by the weight's name
	plain   map[string]*plan.Tensor  // those weights, by the name that they have in numbers
	isGroup map[string]bool          // names of their scales, and of what else is beside them
	block   []int64                  // weight_block_size of the config, or nil
	ue8m0   bool                     // the config says that scales are powers of two

	manifest *manifest.Manifest // nil until readManifest, and without one
	absent   string             // why there is none
}

// newSide lays c open. An FP8 weight without scale and a scale without weight
// match invalid.Input. Experts get the numbers that order gives them, see
// [plan.Plan.Renumber]; nil leaves them as they are.
func newSide(c *hf.Checkpoint, order map[int][]int) (*side, error) {
	p := plan.New(c)
	if err := p.Renumber(plan.Keeping(order, c.Config)); err != nil {
		return nil, err
	}
	s := &side{
		c: c, tensors: p.Tensors, files: source.New(c, nil),
		byName: make(map[string]*plan.Tensor, len(p.Tensors)), scales: map[string]*plan.Tensor{},
		isScale: map[string]bool{}, packed: map[string]bool{},
		plain: map[string]*plan.Tensor{}, isGroup: map[string]bool{}, written: map[string]*plan.Written{},
	}
	found, beside, err := plan.PackedOf(p, c)
	if err != nil {
		return nil, err
	}
	s.isGroup = beside
	for i, w := range found {
		t := &s.tensors[i]
		s.written[t.Name] = w
		s.plain[s.nameOf(t)] = t
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

// nameOf is the name that a tensor has in a checkpoint of numbers.
func (s *side) nameOf(t *plan.Tensor) string {
	if w := s.written[t.Name]; w != nil {
		name, _ := w.Plain(t)
		return name
	}
	return t.Name
}

// shapeOf is the shape that it has there.
func (s *side) shapeOf(t *plan.Tensor) []int64 {
	w := s.written[t.Name]
	if w == nil {
		return t.Shape
	}
	_, shape := w.Plain(t)
	return shape
}

// parts are the matrices of single experts that t holds, in numbers or in codes that lie
// under no grid; nil if it is of another kind.
func (s *side) parts(t *plan.Tensor) ([]plan.Tensor, error) {
	if w := s.written[t.Name]; w != nil {
		return plan.WrittenParts(*t, w, s.c.Arch())
	}
	if !divisible(t) {
		return nil, nil
	}
	return plan.ExpertParts(*t)
}

// find returns the tensor that has a name in a checkpoint of numbers; nil if there is
// none.
func (s *side) find(name string) *plan.Tensor {
	if t := s.plain[name]; t != nil {
		return t
	}
	return s.byName[name]
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
