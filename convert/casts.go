package convert

import (
	"cmp"
	"fmt"
	"maps"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/internal/invalid"
	"quern/scheme"
)

// unpacked is the plan of a checkpoint in which packed weights that are read have become
// matrices of numbers under their plain names, what they become unless something is made
// of their codes. read are the names of what was read.
func unpacked(c *hf.Checkpoint) (p *plan.Plan, read map[string]bool, err error) {
	p = plan.New(c)
	packed, scales, err := plan.Packed(p, quantization(c))
	if err != nil {
		return nil, nil, err
	}
	read = maps.Clone(scales)
	for i := range packed {
		read[p.Tensors[i].Name] = true
	}
	unpack(p, packed, scales)
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Written != nil {
			t.Meta = c.Arch().Classify(t.Name, t.DType, t.Shape)
		}
	}
	return p, read, nil
}

// recast makes codes of weight t, whose own are not those of a grid, those of the scheme
// that is asked for.
func (q *quantizer) recast(t plan.Tensor) ([]plan.Tensor, error) {
	to := q.written[t.Name]
	from := t.Written.Scheme
	switch {
	case scheme.CanCast(from, to.Name):
		t.Op = plan.Recast
	case q.Requantize:
		t.Op = plan.Requantize
	default:
		return nil, invalid.Errorf("tensor %q: it is written in %s, and no cast to %s keeps its values: accept a second rounding with --requantize, convert it to BF16 (quern convert --to bf16), or keep it with --keep", t.Source.Name, from, to.Name)
	}
	return q.coding(t)
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
