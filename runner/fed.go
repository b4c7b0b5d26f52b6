package runner

import (
	"maps"
	"math"
	"slices"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/scheme"
	"quern/scheme/rounding"
)

// fed is what engines do to the inputs of a weight in codes.
type fed struct {
	rule  *rounding.Rule // nil: nothing
	scale *plan.View     // that the checkpoint has for them, or nil
	// inverse: the scale is stored as its reciprocal.
	inverse bool
	with    joined // whose scales are taken together with this one
}

// joined names weights whose inputs have one scale in engines: parts of one matrix there,
// and all experts of a layer, gate and up or down.
type joined struct {
	layer, expert int
	down          bool
	module        string
}

// scheme is that of a weight in codes, nil of numbers.
func (m *matrix) scheme() *scheme.Scheme {
	switch {
	case m.written != nil:
		s, err := scheme.Find(m.written.Scheme)
		if err != nil {
			return nil // loading it says so
		}
		return s
	case m.scale != nil:
		return scheme.ByGrid(m.grid, m.scale.DType)
	}
	return nil
}

// feed notes what engines do to the inputs of m, and the scale that is there for them.
func (b *builder) feed(m *matrix, t *model.Tensor) {
	s := m.scheme()
	if s == nil {
		return
	}
	in := b.inputs[m.module]
	if in != nil && in.Source.Bytes() != in.DType.Bits()/8 {
		in = nil // not one number
	}
	f := fed{rule: s.Rounds(scheme.Fed{Static: in != nil, Config: b.c.Config.Quant})}
	if f.rule == nil {
		return
	}
	if in != nil {
		f.scale, f.inverse = &in.Source, plan.InverseInputScale(in.Meta.Param)
	}
	switch {
	case t.Role == model.RoutedExpert:
		f.with = joined{layer: t.Layer, expert: 1, down: t.Part == "down"}
	case t.Fused != "":
		f.with = joined{module: t.Fused}
	default:
		f.with = joined{module: t.Module}
	}
	m.fed = f
	b.fed = append(b.fed, m)
}

// rounded is x as engines make it before they multiply by m, in memory of the arena.
func (p *pass) rounded(x []float32, rows int, m *matrix) []float32 {
	rule := m.fed.rule
	if !p.emulate || rule == nil {
		return x
	}
	scale, ok := p.static[m]
	if ok && !rule.Static {
		rule = rounding.FP8Tensor
	}
	q := p.arena.floats(rows * m.in)
	p.each(rows, m.in, func(first, n, _ int) {
		part := q[first*m.in:][:n*m.in]
		copy(part, x[first*m.in:])
		rule.Round(part, m.in, scale)
	})
	return q
}

// HasStaticScales reports whether the checkpoint brings scales for activations.
func (m *Model) HasStaticScales() bool {
	return slices.ContainsFunc(m.fed, func(w *matrix) bool { return w.fed.scale != nil })
}

// HasSpareScales reports whether some of them are scales that no engine takes, since it
// scales such inputs as they come.
func (m *Model) HasSpareScales() bool {
	return slices.ContainsFunc(m.fed, func(w *matrix) bool { return w.fed.scale != nil && !w.fed.rule.Static })
}

// RoundsInputs reports whether engines round the inputs of any weight.
func (m *Model) RoundsInputs() bool { return len(m.fed) > 0 }

// StaticScale is a scale for the inputs of a module.
type StaticScale struct {
	Stored float32 // as a multiplier, whatever way it is stored
	Taken  float32 // by engines: the largest of all that they join
	Rule   *rounding.Rule
}

// StaticScales reads them, by the path of their module.
func (m *Model) StaticScales() (map[string]StaticScale, error) {
	stored, err := m.stored()
	if err != nil {
		return nil, err
	}
	taken := taken(stored)
	out := make(map[string]StaticScale, len(stored))
	for w, s := range stored {
		rule := w.fed.rule
		if !rule.Static {
			rule = rounding.FP8Tensor
		}
		out[w.module] = StaticScale{Stored: s, Taken: taken[w], Rule: rule}
	}
	return out, nil
}

// scales are those to compute with: those that engines take, or with spare all.
func (m *Model) scales(spare bool) (map[*matrix]float32, error) {
	stored, err := m.stored()
	if err != nil {
		return nil, err
	}
	out := taken(stored)
	if !spare {
		maps.DeleteFunc(out, func(w *matrix, _ float32) bool { return !w.fed.rule.Static })
	}
	return out, nil
}

// stored reads the scales.
func (m *Model) stored() (map[*matrix]float32, error) {
	out := make(map[*matrix]float32, len(m.fed))
	for _, w := range m.fed {
		if w.fed.scale == nil {
			continue
		}
		v := vector{view: *w.fed.scale, n: 1}
		x, err := v.load(m.files)
		if err != nil {
			return nil, err
		}
		s := x[0]
		if w.fed.inverse {
			s = 1 / s
		}
		if !(s > 0) || math.IsInf(float64(s), 0) {
			return nil, invalid.Errorf("tensor %q: %v is no scale", v.view.Name, x[0])
		}
		out[w] = s
	}
	return out, nil
}

// taken are the scales as engines take them: of those that they join the largest.
func taken(stored map[*matrix]float32) map[*matrix]float32 {
	most := map[joined]float32{}
	for w, s := range stored {
		if w.fed.rule.Shared {
			most[w.fed.with] = max(most[w.fed.with], s)
		}
	}
	out := make(map[*matrix]float32, len(stored))
	for w, s := range stored {
		if out[w] = s; w.fed.rule.Shared {
			out[w] = most[w.fed.with]
		}
	}
	return out
}

// RoundedInputs says how many weights have inputs that engines round by one rule.
type RoundedInputs struct {
	Rule    *rounding.Rule
	Linears int
	// Of static rules: how many scales are 1, what is written where nothing was measured
	// (formats-2026.md §4.1).
	Ones int
}

// RoundedInputs lists the rules, in the order of rounding.All.
func (m *Model) RoundedInputs() ([]RoundedInputs, error) {
	stored, err := m.stored()
	if err != nil {
		return nil, err
	}
	var out []RoundedInputs
	for _, r := range rounding.All {
		x := RoundedInputs{Rule: r}
		for _, w := range m.fed {
			if w.fed.rule == r {
				x.Linears++
				if r.Static && stored[w] == 1 {
					x.Ones++
				}
			}
		}
		if x.Linears > 0 {
			out = append(out, x)
		}
	}
	return out, nil
}
