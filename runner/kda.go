package runner

import (
	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/recur"
)

// kimiDelta is Kimi's delta attention (arXiv 2510.26692): the delta rule with a decay a
// channel, and a gate of the output by sigmoid.
type kimiDelta struct {
	recurrent
	q, k, v, o   *matrix
	rate         *matrix
	decay, gate  [2]*matrix // one matrix, or the product of two
	aLog, dtBias *vector
	norm         *norm
	lower        float32
}

func newKimiDelta(s *site) (mixer, error) {
	c := s.c
	heads, size := c.LinearKeyHeads, c.LinearKeyHeadDim
	if heads <= 0 || size <= 0 || heads != c.LinearValueHeads || size != c.LinearValueHeadDim || c.LinearConvKernel <= 0 {
		return nil, invalid.Errorf("config.json: delta attention of %d heads of %d behind a convolution of %d", heads, size, c.LinearConvKernel)
	}
	weight := func(part string) *matrix { return s.weight(model.LinearAttention, part) }
	d := &kimiDelta{
		recurrent: recurrent{layer: recur.KimiDelta(heads, size), width: c.LinearConvKernel},
		q:         weight("q"), k: weight("k"), v: weight("v"), o: weight("o"),
		rate: s.weight(model.LinearAttentionGate, "b"), decay: s.lowRank("f"), gate: s.lowRank("g"),
		aLog: s.state("A_log", heads), dtBias: s.state("dt_bias", heads*size),
		norm: s.norm("o_norm", size, eps(c)), lower: float32(c.LinearLowerBound),
	}
	d.kernel = s.joinedConv(heads*size, d.width)
	return d, s.err
}

// lowRank is a projection that is one matrix, or two in a row.
func (s *site) lowRank(part string) [2]*matrix {
	for _, role := range []model.Role{model.LinearAttention, model.LinearAttentionGate} {
		if s.has(role, part) {
			return [2]*matrix{s.weight(role, part)}
		}
	}
	return [2]*matrix{s.weight(model.LinearAttentionGate, part+"_a"), s.weight(model.LinearAttentionGate, part+"_b")}
}

// joinedConv are the kernels of q, k and v, of n channels each.
func (s *site) joinedConv(n, width int) *vector {
	kernel := func(part string) *vector {
		return s.numbers(key{role: model.Conv, layer: s.layer, part: part}, n, 1, width)
	}
	q, k, v := kernel("q"), kernel("k"), kernel("v")
	return &vector{view: q.view, n: 3 * n * width, behind: []plan.View{k.view, v.view}}
}

func (d *kimiDelta) needs(p *part) {
	d.recurrent.needs(p)
	p.matrices(d.q, d.k, d.v, d.o, d.rate, d.decay[0], d.decay[1], d.gate[0], d.gate[1])
	p.vectors(d.aLog, d.dtBias)
	d.norm.needs(p)
}

func (d *kimiDelta) scratch() int { return d.recurrent.scratch() + 3*d.layer.Width }

func (d *kimiDelta) mix(p *pass, y, x []float32, b *batch) error {
	rows, heads := b.n, d.layer.ValueHeads
	mark := p.arena.mark()
	defer p.arena.release(mark)
	width := heads * d.layer.Values
	observed := []*matrix{d.q, d.k, d.v}
	if d.gate[1] == nil {
		observed = append(observed, d.gate[0])
	}
	p.observe(x, rows, observed...)
	qkv := p.arena.floats(rows * d.layer.Width)
	d.sideBySide(p, qkv, x, rows)
	decay, gate, rate := p.arena.floats(rows*width), p.arena.floats(rows*width), p.arena.floats(rows*heads)
	p.chain(decay, x, rows, d.decay)
	p.chain(gate, x, rows, d.gate)
	p.linear(rate, x, rows, d.rate, nil)
	vec.Sigmoid(rate, rate)
	gates := recur.Decay{ALog: p.weights.vector(d.aLog), Bias: p.weights.vector(d.dtBias), Lower: d.lower}
	p.each(rows, 16*width, func(first, n, _ int) { gates.Apply(decay[first*width:][:n*width]) })
	out := p.arena.floats(rows * width)
	d.advance(p, out, qkv, decay, rate, d, b.segs)
	norm := recur.Norm{Weight: p.weights.vector(d.norm.weight), Group: d.layer.Values, Eps: d.norm.eps, Sigmoid: true}
	p.each(rows, 8*width, func(first, n, _ int) {
		norm.Apply(out[first*width:][:n*width], gate[first*width:][:n*width])
	})
	p.observe(out, rows, d.o)
	p.linear(y, out, rows, d.o, nil)
	return nil
}

// sideBySide makes rows of q, k and v.
func (d *kimiDelta) sideBySide(p *pass, qkv, x []float32, rows int) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	n := d.q.out
	one := p.arena.floats(rows * n)
	for i, m := range []*matrix{d.q, d.k, d.v} {
		p.linear(one, x, rows, m, nil)
		for r := range rows {
			copy(qkv[r*d.layer.Width+i*n:][:n], one[r*n:])
		}
	}
}

// chain multiplies rows by one matrix, or by two in a row.
func (p *pass) chain(y, x []float32, rows int, ms [2]*matrix) {
	if ms[1] == nil {
		p.linear(y, x, rows, ms[0], nil)
		return
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	low := p.arena.floats(rows * ms[0].out)
	p.linear(low, x, rows, ms[0], nil)
	p.linear(y, low, rows, ms[1], nil)
}
