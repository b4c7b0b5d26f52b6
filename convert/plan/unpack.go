package plan

import (
	"slices"
	"strings"

	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
)

// Unpack has the weights of p, the plan of c, whose codes lie under no [Grid] decoded to
// BF16, and leaves out their scales. Names, shapes and meanings are those of the weights
// in numbers. read has the names of the input's tensors that are read so. What else of
// the scales of such a module there is, those of its input, stays.
func Unpack(p *Plan, c *hf.Checkpoint) (read map[string]bool, err error) {
	var config *model.Quantization
	if c.Config != nil {
		config = c.Config.Quant
	}
	arch := c.Arch()
	found, scales, err := packedIn(p, config, arch.ExpectedShape)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	read = scales
	modules := make(map[string]bool, len(found))
	for i := range found {
		modules[p.Tensors[i].Meta.Module] = true
		read[p.Tensors[i].Name] = true
	}
	out := make([]Tensor, 0, len(p.Tensors))
	for i := range p.Tensors {
		t := p.Tensors[i]
		w := found[i]
		switch {
		case w != nil:
			if err := t.unpack(w, arch); err != nil {
				return nil, err
			}
		case read[t.Name]:
			continue
		case t.Meta.Param == "pre_quant_scale" && modules[t.Meta.Module]:
			return nil, invalid.Errorf("tensor %q: factors of the input of %q, which are not read: start from a checkpoint that was quantized without them", t.Name, t.Meta.ScaleOf)
		}
		out = append(out, t)
	}
	p.Tensors = out
	p.Regroup(func(int) bool { return false })
	return read, nil
}

// packedWords are the endings of parameters that hold codes, and what a weight in
// numbers is called instead.
var packedWords = []struct{ packed, number string }{
	{"weight_packed", "weight"}, {"qweight", "weight"}, {"_blocks", ""},
}

// unpack makes t the weight that its codes stand for.
func (t *Tensor) unpack(w *Written, arch *model.Arch) error {
	t.Op, t.DType, t.Written = Dequantize, safetensors.BF16, w
	if t.Shape = w.shape; t.Shape == nil {
		t.Shape = []int64{w.Rows, w.Cols}
		if n := len(t.Source.Shape) - 1; n > 1 {
			t.Shape = append(slices.Clone(t.Source.Shape[:n]), w.Cols)
		}
	}
	for _, x := range packedWords {
		if base, ok := strings.CutSuffix(t.Name, x.packed); ok {
			t.Name = base + x.number
			break
		}
	}
	t.Meta = arch.Classify(t.Name, t.DType, t.Shape)
	t.Why = t.Meta.Why
	if want, ok := arch.ExpectedShape(t.Meta); ok && !slices.Equal(want, t.Shape) {
		return invalid.Errorf("tensor %q: %s is a weight of shape %v as %s has it, but the config says %v", t.Source.Name, t.Source.DType, t.Shape, w.Scheme, want)
	}
	return nil
}
