package convert

import (
	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
)

// castKept is the stage that turns kept F32, F16 and F64 matrices and norms
// into BF16.
func castKept(on bool) plan.Stage {
	return func(p *plan.Plan) error {
		for i := range p.Tensors {
			if t := &p.Tensors[i]; on && t.Op == plan.Copy && castable(t) {
				t.Op, t.DType = plan.Cast, safetensors.BF16
			}
		}
		return nil
	}
}

// castable reports whether t is a matrix or norm in a wider or narrower float.
// The router and its biases decide between experts by tiny differences and stay as
// they are; so do other vectors, hyper-connections and whatever no rule places.
func castable(t *plan.Tensor) bool {
	switch t.DType {
	case safetensors.F32, safetensors.F16, safetensors.F64:
	default:
		return false
	}
	switch t.Meta.Role {
	case model.Unknown, model.Buffer, model.Scale, model.Router, model.RouterBias, model.Bias, model.State, model.Sink, model.HyperConnection:
		return false
	case model.Norm:
		return true
	}
	return len(t.Shape) >= 2
}

// checkFinite is the stage that has copies of weights checked for NaN and
// infinity. Buffers and tensors that no rule places may hold anything.
func checkFinite(p *plan.Plan) error {
	for i := range p.Tensors {
		t := &p.Tensors[i]
		t.Finite = t.Op == plan.Copy && t.Meta.Role != model.Unknown && t.Meta.Role != model.Buffer && t.Meta.Role != model.Scale
	}
	return nil
}
