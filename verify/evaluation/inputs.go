package evaluation

import (
	"fmt"
	"maps"
	"slices"

	"quern/runner"
	"quern/scheme/rounding"
)

// InputScale is a static scale for the input of a module, and what that input was.
type InputScale struct {
	Module string  `json:"module"`
	Scale  float32 `json:"scale"`
	// Taken is the scale that engines take: the largest of what they join, where that is
	// not the module's own.
	Taken float32 `json:"taken,omitempty"`
	AMax  float32 `json:"amax"` // largest magnitude on the text; 0 where no token came by

	// Rule is the one by which it is used, "" for that of FP8 (rounding.FP8Tensor).
	Rule string `json:"rule,omitempty"`
}

// Effective is the scale that counts.
func (x *InputScale) Effective() float32 {
	if x.Taken > 0 {
		return x.Taken
	}
	return x.Scale
}

// Rounded says of how many linears the inputs are rounded by one rule in engines.
type Rounded struct {
	Rule    string `json:"rule"` // see quern/scheme/rounding
	Linears int    `json:"linears"`
	// Uncalibrated are the scales that the checkpoint brings and that are 1, of rules with
	// such scales: what is written where nothing was measured.
	Uncalibrated *int   `json:"uncalibrated,omitempty"`
	Title        string `json:"-"` // what inputs become
}

// String says it in words.
func (x *Rounded) String() string {
	what := "linears"
	if x.Linears == 1 {
		what = "linear"
	}
	s := fmt.Sprintf("of %d %s: %s", x.Linears, what, x.Title)
	switch n := x.Uncalibrated; {
	case n == nil:
	case *n == 0:
		s += " (calibrated)"
	case *n == x.Linears:
		s += " (1 everywhere: not calibrated)"
	default:
		s += fmt.Sprintf(" (1 for %d of them: not calibrated)", *n)
	}
	return s
}

// rounded lists the rules of m.
func rounded(m *runner.Model) ([]Rounded, error) {
	list, err := m.RoundedInputs()
	var out []Rounded
	for i := range list {
		x := Rounded{Rule: list[i].Rule.Name, Linears: list[i].Linears, Title: list[i].Rule.Title}
		if list[i].Rule.Static {
			x.Uncalibrated = &list[i].Ones
		}
		out = append(out, x)
	}
	return out, err
}

// inputs measures what static scales are for.
type inputs struct {
	scales map[string]runner.StaticScale
	amax   map[string]float32
}

// newInputs readies the measurement; nil where m brings no static scales.
func newInputs(m *runner.Model) (*inputs, error) {
	if !m.HasStaticScales() {
		return nil, nil
	}
	scales, err := m.StaticScales()
	return &inputs{scales: scales, amax: make(map[string]float32, len(scales))}, err
}

// take is the hook for inputs.
func (x *inputs) take(a *runner.Activations) {
	most := float32(-1)
	for _, module := range a.Modules {
		if _, ok := x.scales[module]; !ok {
			continue
		}
		if most < 0 {
			for _, v := range a.X[:a.Rows*a.Width] {
				most = max(most, v, -v)
			}
		}
		x.amax[module] = max(x.amax[module], most)
	}
}

// list is what was measured, by module.
func (x *inputs) list() []InputScale {
	if x == nil {
		return nil
	}
	out := make([]InputScale, 0, len(x.scales))
	for _, m := range slices.Sorted(maps.Keys(x.scales)) {
		s := x.scales[m]
		in := InputScale{Module: m, Scale: s.Stored, AMax: x.amax[m]}
		if s.Rule != rounding.FP8Tensor {
			in.Rule = s.Rule.Name
		}
		if s.Taken != s.Stored {
			in.Taken = s.Taken
		}
		out = append(out, in)
	}
	return out
}
