package verify

import (
	"quern/scheme/rounding"
	"quern/verify/evaluation"
)

// clips is how far an activation may lie beyond what its static scale reaches: a
// calibration on other text misses outliers by a factor of two or so. How far a scale may
// reach beyond the largest activation says its rule (rounding.Rule.Coarse).
const clips = 4

// activationsGate holds the static scales that engines take against the activations that
// the text gave.
func activationsGate(inputs []evaluation.InputScale) Gate {
	t := tally{name: "activations"}
	for _, x := range inputs {
		scale, rule := x.Effective(), rounding.Find(x.Rule)
		reach := float64(rule.Reach) * float64(scale)
		switch most := float64(x.AMax); {
		case most == 0: // nothing came by
		case !(most <= clips*reach):
			t.fail("module %s: static scale %v reaches %.4g, and activations %.4g: they are clipped%s", x.Module, scale, reach, most, unmeasured(scale))
		case reach > float64(rule.Coarse)*most:
			t.fail("module %s: static scale %v reaches %.4g, and activations only %.4g%s", x.Module, scale, reach, most, unmeasured(scale))
		}
	}
	return t.gate()
}

// unmeasured says of a scale that stands where nothing was measured what mends it.
func unmeasured(scale float32) string {
	if scale != 1 {
		return ""
	}
	return "; 1 stands where nothing was measured, which quantize --calibration FILE --act-scales static does"
}
