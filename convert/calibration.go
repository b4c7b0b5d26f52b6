package convert

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/formats/safetensors"
	"quern/fp8"
	"quern/internal/invalid"
)

// Calibration is what was measured of a model's activations, by module path. The
// calibration file is one (design §4).
type Calibration interface {
	// Count is how many tokens reached a module; 0 for one that was never reached.
	Count(module string) int64
	// Channels is the number of a module's input channels.
	Channels(module string) int
	// InputAmax is the largest magnitude of what a module is applied to.
	InputAmax(module string) (float32, bool)
	// MeanSquares has, by input channel, the mean square of the same.
	MeanSquares(module string) ([]float32, bool)
	// CacheAmax is the largest magnitude of what an attention block keeps: "k" and
	// "v", or "kv_latent" with the rotated key as "k".
	CacheAmax(attention, kind string) (float32, bool)
	// Identity names the model that was measured, Digest the measurement.
	Identity() string
	Digest() [32]byte
}

// calibrated is the stage that holds the options against the calibration: what
// needs one has one, and it is of this model.
func (q *quantizer) calibrated(p *plan.Plan) error {
	for _, x := range []struct {
		asked bool
		flag  string
	}{
		{q.Search == fp8.SearchWeighted, "--search weighted"},
		{q.StaticActivations, "--act-scales static"},
		{q.CacheScales, "--kv-scales"},
	} {
		switch {
		case !x.asked:
			continue
		case q.Calibration == nil:
			return &UsageError{x.flag + " needs --calibration FILE: it goes by what activations are like"}
		}
		digest := q.Calibration.Digest()
		p.Calibration = hex.EncodeToString(digest[:])
	}
	if p.Calibration == "" {
		return nil
	}
	is, err := q.Identify(q.checkpoint)
	if err != nil {
		return err
	}
	if of := q.Calibration.Identity(); is != of {
		return invalid.Errorf("the calibration is of another model: it was measured with %s, this is %s", of, is)
	}
	return nil
}

// statistics returns the module under which the calibration has the input of
// weight t, and whether it was reached. The input of an expert's gate and up may
// have been measured as that of the matrix that holds both.
func (q *quantizer) statistics(t *plan.Tensor) (module string, reached bool, err error) {
	for _, module = range []string{t.Meta.Module, t.Meta.Fused} {
		if module == "" || q.Calibration.Count(module) == 0 {
			continue
		}
		if n := q.Calibration.Channels(module); int64(n) != t.Source.Shape[1] {
			return "", false, invalid.Errorf("calibration: module %q has %d input channels, the weight %q has %d columns", module, n, t.Name, t.Source.Shape[1])
		}
		return module, true, nil
	}
	return "", false, nil
}

// weigh sets by which channels the scales of weight t are searched. Without statistics
// all count alike.
func (q *quantizer) weigh(t *plan.Tensor) error {
	if t.Quant.Search != fp8.SearchWeighted {
		return nil
	}
	module, reached, err := q.statistics(t)
	if err != nil {
		return err
	}
	if !reached {
		t.Quant.Search, t.Uncovered = fp8.SearchMSE, true
	}
	t.Quant.Channels = module
	return nil
}

// maximum is an amax of the calibration; it refuses one that is none.
func maximum(amax float32, ok bool, what, module string) (float32, error) {
	switch {
	case !ok:
		return 0, invalid.Errorf("calibration: module %q was reached, but its %s is not there", module, what)
	case !(amax >= 0 && amax <= math.MaxFloat32):
		return 0, invalid.Errorf("calibration: the %s of module %q is %v", what, module, amax)
	}
	return amax, nil
}

// scaleFor is the scale that brings magnitudes up to amax within reach, by the rule for
// tiles of weights: at least 2⁻¹²⁶, 1 where all is zero.
func scaleFor(amax, reach float32) float32 {
	if amax == 0 {
		return 1
	}
	return max(amax/reach, 0x1p-126)
}

// constant is a scale for activations: one number without dimensions, as modelopt
// writes it (formats.md §4). beside is a tensor that it goes with.
func constant(beside *plan.Tensor, module, param string, scale float32) plan.Tensor {
	m := model.Tensor{
		Role: model.Scale, Layer: beside.Meta.Layer, Expert: beside.Meta.Expert, Part: beside.Meta.Part, MTP: beside.Meta.MTP,
		Module: module, Param: param, Why: "scale",
	}
	return plan.Tensor{
		Name: m.Name(), DType: safetensors.F32, Shape: []int64{}, Op: plan.Constant, Value: scale,
		Source: beside.Source, Meta: m, Why: m.Why,
	}
}

// coverage is the stage that says what the calibration did not reach, and what is
// done about it.
func coverage(p *plan.Plan) error {
	var alike, borrowed []string
	for i := range p.Tensors {
		switch t := &p.Tensors[i]; {
		case !t.Uncovered:
		case t.Op == plan.Constant:
			borrowed = append(borrowed, t.Meta.Module)
		default:
			alike = append(alike, t.Meta.Module)
		}
	}
	note := func(list []string, what string) {
		if len(list) > 0 {
			p.Notes = append(p.Notes, fmt.Sprintf("the calibration never reached %s: %s", few(list, "modules"), what))
		}
	}
	note(alike, "all channels count alike in the search for scales (mse)")
	note(borrowed, "the largest input scale of the layer's other experts")
	return nil
}

// few names the first of a list.
func few(list []string, what string) string {
	if len(list) == 1 {
		return list[0]
	}
	return fmt.Sprintf("%d %s (%s)", len(list), what, strings.Join(list[:min(3, len(list))], ", "))
}
