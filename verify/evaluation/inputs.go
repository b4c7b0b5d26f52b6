package evaluation

import (
	"maps"
	"slices"

	"quern/runner"
)

// InputScale is a static scale for the input of a module, and what that input was.
type InputScale struct {
	Module string  `json:"module"`
	Scale  float32 `json:"scale"`
	AMax   float32 `json:"amax"` // largest magnitude on the text; 0 where no token came by
}

// inputs measures what static scales are for.
type inputs struct {
	scales map[string]float32
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
		out = append(out, InputScale{m, x.scales[m], x.amax[m]})
	}
	return out
}
