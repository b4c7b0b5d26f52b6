package verify

import "quern/verify/evaluation"

const (
	// clips is how far an activation may lie beyond what its static scale reaches: a
	// calibration on other text misses outliers by a factor of two or so.
	clips = 4
	// coarse is how far a scale may reach beyond the largest activation. E4M3 loses
	// precision only where numbers become subnormal, 2¹⁴ below its largest.
	coarse = 64
)

// activationsGate holds static scales against the activations that the text gave.
func activationsGate(inputs []evaluation.InputScale) Gate {
	t := tally{name: "activations"}
	for _, x := range inputs {
		reach := 448 * float64(x.Scale)
		switch most := float64(x.AMax); {
		case most == 0: // nothing came by
		case !(most <= clips*reach):
			t.fail("module %s: static scale %v reaches %.4g, and activations %.4g: they are clipped", x.Module, x.Scale, reach, most)
		case reach > coarse*most:
			t.fail("module %s: static scale %v reaches %.4g, and activations only %.4g", x.Module, x.Scale, reach, most)
		}
	}
	return t.gate()
}
