package runner

import (
	"math"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/runner/recur"
)

// mamba is Mamba 2 (arXiv 2405.21060): a state of so many numbers a channel, whose step
// follows from the input.
type mamba struct {
	recurrent
	in, out      *matrix // in gives gates, what is convolved, and steps side by side
	aLog, dtBias *vector
	norm         *vector
	eps          float32
	groups       int
	least        float32 // of a step
}

func newMamba(s *site) (mixer, error) {
	c := s.c
	heads, size, groups, n := c.MambaHeads, c.MambaHeadDim, c.MambaGroups, c.MambaState
	if heads <= 0 || size <= 0 || groups <= 0 || heads%max(groups, 1) != 0 || n <= 0 || c.MambaConvKernel <= 0 {
		return nil, invalid.Errorf("config.json: state-space layers of %d heads of %d in %d groups with a state of %d behind a convolution of %d", heads, size, groups, n, c.MambaConvKernel)
	}
	m := &mamba{
		recurrent: recurrent{layer: recur.Mamba2(groups, heads, n, size, nil), width: c.MambaConvKernel, skip: s.state("D", heads)},
		in:        s.weight(model.StateSpace, "in"), out: s.weight(model.StateSpace, "out"),
		aLog: s.state("A_log", heads), dtBias: s.state("dt_bias", heads),
		norm: s.vector(key{role: model.Norm, layer: s.layer, part: "mixer.norm"}, heads*size), eps: eps(c), groups: groups,
		least: float32(numberOf(c, 0.001, "time_step_min", "mamba_dt_min")),
	}
	m.kernel = s.numbers(key{role: model.Conv, layer: s.layer, part: "conv1d"}, m.layer.Width, 1, m.width)
	if c.MambaConvBias {
		m.bias = s.vector(key{role: model.Bias, layer: s.layer, part: "conv1d"}, m.layer.Width)
	}
	return m, s.err
}

// numberOf is a number of a config that nothing else reads, by the first of its names
// that the config has.
func numberOf(c *model.Config, otherwise float64, names ...string) float64 {
	for _, name := range names {
		for key, v := range c.Fields() {
			if x, ok := v.Float64(); ok && key == name {
				return x
			}
		}
	}
	return otherwise
}

func (m *mamba) needs(p *part) {
	m.recurrent.needs(p)
	p.matrices(m.in, m.out)
	p.vectors(m.aLog, m.dtBias, m.norm)
}

func (m *mamba) scratch() int { return m.recurrent.scratch() + 3*m.in.out }

func (m *mamba) mix(p *pass, y, x []float32, b *batch) error {
	rows, heads := b.n, m.layer.ValueHeads
	mark := p.arena.mark()
	defer p.arena.release(mark)
	inner, wide := heads*m.layer.Values, m.in.out
	all := p.arena.floats(rows * wide)
	p.observe(x, rows, m.in)
	p.linear(all, x, rows, m.in, nil)
	z, conv := p.arena.floats(rows*inner), p.arena.floats(rows*m.layer.Width)
	step, decay := p.arena.floats(rows*heads), p.arena.floats(rows*heads)
	for r := range rows {
		row := all[r*wide:][:wide]
		copy(z[r*inner:][:inner], row)
		copy(conv[r*m.layer.Width:][:m.layer.Width], row[inner:])
		copy(step[r*heads:][:heads], row[inner+m.layer.Width:])
	}
	recur.Steps(decay, step, p.weights.vector(m.aLog), p.weights.vector(m.dtBias), m.least, float32(math.Inf(1)))
	out := p.arena.floats(rows * inner)
	m.advance(p, out, conv, decay, step, m, b.segs)
	norm := recur.Norm{Weight: p.weights.vector(m.norm), Group: inner / m.groups, Eps: m.eps, GateFirst: true}
	p.each(rows, 8*inner, func(first, n, _ int) {
		norm.Apply(out[first*inner:][:n*inner], z[first*inner:][:n*inner])
	})
	p.observe(out, rows, m.out)
	p.linear(y, out, rows, m.out, nil)
	return nil
}
