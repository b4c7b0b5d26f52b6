package hf

import (
	"quern/formats/model"
	"quern/formats/safetensors"
)

// Classify says what a tensor of c is: by its name, and where that does not tell a
// scale from other parameters, by the codes that lie beside it.
func (c *Checkpoint) Classify(t *safetensors.Tensor) model.Tensor {
	m := c.arch.Classify(t.Name, t.DType, t.Shape)
	if m.Fused3D {
		if r, ok := c.byName[c.arch.Partner(&m, t.Shape)]; ok {
			c.arch.Orient(&m, t.DType, t.Shape, r.Tensor.Shape)
		}
	}
	if m.Role == model.Scale && (m.ScaleOf == "" || c.Has(m.ScaleOf)) {
		return m
	}
	if c.codes(t.Name) {
		return m // a weight, whatever its name
	}
	if w, ok := model.Sibling(t.Name, c.codes); ok {
		m.Role, m.ScaleOf, m.Multiplies = model.Scale, w, true
		m.Weights, m.Quantize, m.Why = 0, false, model.Scale.Kept()
	}
	return m
}

// codes reports whether a name is that of an FP8 weight.
func (c *Checkpoint) codes(name string) bool {
	r, ok := c.byName[name]
	return ok && r.Tensor.DType == safetensors.F8E4M3
}
