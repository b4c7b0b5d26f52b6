package convert

import (
	"fmt"

	"quern/convert/container"
	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/scheme"
)

// inputScales is the stage that gives each module with codes the scale of what it
// is applied to, MODULE.input_scale. Without it engines measure that anew for each
// token, and scales that the input has would only be in their way.
func (q *quantizer) inputScales(p *plan.Plan) error {
	var largest map[inputs]float32
	if q.StaticActivations {
		var err error
		if largest, err = q.largestInputs(p); err != nil {
			return err
		}
	}
	out := make([]plan.Tensor, 0, len(p.Tensors))
	brought := q.broughtScales(p)
	dropped, written, unmeasured := 0, 0, 0
	fused := map[string]*plan.Tensor{} // fused module to a part's input scale
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Meta.Role == model.Scale && plan.IsInputScale(t.Meta.Param) && !q.asIs[t.Meta.Module] {
			dropped++
			continue
		}
		out = append(out, *t)
		weight := q.lastScale(p, i)
		if weight == nil || !q.scalesInputs(weight) {
			continue
		}
		if b := brought[weight.Meta.Module]; b != nil {
			out = append(out, *q.inputBrought(weight, b))
			dropped--
			continue
		}
		s, err := q.inputScale(weight, largest)
		if err != nil {
			return err
		}
		if f := weight.Meta.Fused; f != "" {
			if other := fused[f]; other == nil {
				fused[f] = s
			} else if other.Value != s.Value {
				return invalid.Errorf("calibration: %s and %s have one input, but its scale would be %v for one and %v for the other", other.Meta.Module, s.Meta.Module, other.Value, s.Value)
			}
		}
		out = append(out, *s)
		written++
		if !q.StaticActivations && weight.Quant.Scheme == scheme.TensorFP8.Name {
			unmeasured++
		}
	}
	p.Tensors = out
	p.Regroup(withWeight(p))
	if written > 0 && q.Container == container.DeepSeek {
		p.Notes = append(p.Notes, "--act-scales static: no engine that is known here computes block FP8 with fixed scales of activations, and vLLM and SGLang refuse to load it")
	}
	if unmeasured > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("the scale of the inputs of %d linears in %s is 1, for nothing was measured, and inputs beyond 448 are cut: container %s has to have one; --calibration FILE --act-scales static measures it, and in --container compressed-tensors inputs are scaled as they come",
			unmeasured, scheme.TensorFP8.Name, q.Container.Name))
	}
	if dropped > 0 {
		what := "activations are scaled as they come"
		if q.StaticActivations {
			what = "the calibration's take their place"
		}
		p.Notes = append(p.Notes, fmt.Sprintf("%d scales of activations that the input has are dropped: %s", dropped, what))
	}
	return nil
}

// lastScale returns the weight whose last scale tensor i is, nil if it is none, or its
// codes are those of the input.
func (q *quantizer) lastScale(p *plan.Plan, i int) *plan.Tensor {
	t := &p.Tensors[i]
	scaleOf := t.Meta.ScaleOf
	if t.Meta.Role != model.Scale || scaleOf == "" || q.asIs[t.Meta.Module] || plan.IsInputScale(t.Meta.Param) {
		return nil
	}
	if i+1 < len(p.Tensors) && p.Tensors[i+1].Op == plan.ScaleOf && p.Tensors[i+1].Meta.ScaleOf == scaleOf {
		return nil
	}
	for k := i - 1; k >= 0; k-- {
		w := &p.Tensors[k]
		if isScaleOf(t, w) {
			return w
		}
		if w.Meta.ScaleOf != scaleOf {
			return nil
		}
	}
	return nil
}

// formOf is the form that the codes of t have.
func (q *quantizer) formOf(t *plan.Tensor) *container.Form {
	s, err := scheme.Find(t.Quant.Scheme) // "" also of codes that are taken over
	if err != nil {
		panic(err) // a stage of this package wrote it
	}
	return q.form(s)
}

// scalesInputs reports whether weight t has a scale of its input.
func (q *quantizer) scalesInputs(t *plan.Tensor) bool {
	f := q.formOf(t)
	return !f.Dynamic && (q.StaticActivations || f.InputScale != 0)
}

// inputs are what the experts of a layer have in common: the input of gate and up
// is the layer's, that of down what they make of it.
type inputs struct {
	layer int
	down  bool
}

func inputsOf(t *plan.Tensor) inputs { return inputs{t.Meta.Layer, t.Meta.Part == "down"} }

// largestInputs is the largest magnitude that any expert of a layer has met.
func (q *quantizer) largestInputs(p *plan.Plan) (map[inputs]float32, error) {
	largest := map[inputs]float32{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Meta.Role != model.RoutedExpert || !t.Coded() {
			continue
		}
		amax, reached, err := q.inputAmax(t)
		if err != nil {
			return nil, err
		}
		if reached {
			largest[inputsOf(t)] = max(largest[inputsOf(t)], amax)
		}
	}
	return largest, nil
}

// inputScale is the input scale of weight t. An expert that was never reached gets
// the one that fits all other experts of its layer: too wide costs a bit of
// precision, too narrow cuts off.
func (q *quantizer) inputScale(t *plan.Tensor, largest map[inputs]float32) (*plan.Tensor, error) {
	if !q.StaticActivations {
		return q.inputConstant(t, q.formOf(t).InputScale, false), nil
	}
	amax, reached, err := q.inputAmax(t)
	if err != nil {
		return nil, err
	}
	if !reached {
		ok := false
		if t.Meta.Role == model.RoutedExpert {
			amax, ok = largest[inputsOf(t)]
		}
		if !ok {
			return nil, invalid.Errorf("calibration: module %q was never reached%s, so that nothing is known of its input: measure more text, leave --act-scales static out, or keep the module as it is with --keep", t.Meta.Module, alone(t))
		}
	}
	return q.inputConstant(t, scaleFor(amax, q.formOf(t).Reach), !reached), nil
}

// inputBrought is the input scale that weight t has in the input.
func (q *quantizer) inputBrought(t, b *plan.Tensor) *plan.Tensor {
	s := q.inputConstant(t, 1, false)
	s.Op, s.Source, s.Value = plan.Widen, b.Source, 0
	return s
}

// inputConstant is the input scale of weight t as its form has it.
func (q *quantizer) inputConstant(t *plan.Tensor, scale float32, uncovered bool) *plan.Tensor {
	param, value, shape := q.formOf(t).InputScaleOf(t.Meta.Param, scale)
	s := constant(t, t.Meta.Module, param, value)
	s.Shape, s.Meta.ScaleOf, s.Uncovered = shape, t.Name, uncovered
	return &s
}

// alone says what else was not reached.
func alone(t *plan.Tensor) string {
	if t.Meta.Role == model.RoutedExpert {
		return ", nor any other expert of its layer"
	}
	return ""
}

// inputAmax is the largest magnitude of what weight t is applied to.
func (q *quantizer) inputAmax(t *plan.Tensor) (amax float32, reached bool, err error) {
	if t.Meta.Whole {
		return q.stackAmax(t)
	}
	module, reached, err := q.statistics(t)
	if err != nil || !reached {
		return 0, false, err
	}
	amax, ok := q.Calibration.InputAmax(module)
	amax, err = maximum(amax, ok, "largest input", module)
	return amax, true, err
}
