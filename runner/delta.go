package runner

import (
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/recur"
)

// delta is the gated delta rule (Qwen3-Next and those behind it): linear attention with a
// decay and a write strength a head.
type delta struct {
	recurrent
	qkvz, ba     *matrix // of Qwen3-Next, by key head; nil where they are apart
	qkv, z, b, a *matrix
	o            *matrix
	aLog, dtBias *vector
	norm         *vector // of the output: its weight itself, where other norms have 1+w
	eps          float32
	split        recur.Split
}

func newDelta(s *site) (mixer, error) {
	c := s.c
	kh, vh, keys, values := c.LinearKeyHeads, c.LinearValueHeads, c.LinearKeyHeadDim, c.LinearValueHeadDim
	if kh <= 0 || vh%max(kh, 1) != 0 || vh <= 0 || keys <= 0 || values <= 0 || c.LinearConvKernel <= 0 {
		return nil, invalid.Errorf("config.json: linear attention of %d key heads of %d and %d value heads of %d behind a convolution of %d", kh, keys, vh, values, c.LinearConvKernel)
	}
	d := &delta{
		recurrent: recurrent{layer: recur.GatedDelta(kh, vh, keys, values), width: c.LinearConvKernel},
		split:     recur.Split{KeyHeads: kh, ValueHeads: vh, Keys: keys, Values: values},
		o:         s.weight(model.LinearAttention, "o"),
		aLog:      s.state("A_log", vh), dtBias: s.state("dt_bias", vh),
		norm: s.vector(key{role: model.Norm, layer: s.layer, part: "norm"}, values), eps: eps(c),
	}
	d.kernel = s.numbers(key{role: model.Conv, layer: s.layer, part: "conv1d"}, d.layer.Width, 1, d.width)
	if s.has(model.LinearAttention, "qkvz") {
		d.qkvz, d.ba = s.weight(model.LinearAttention, "qkvz"), s.weight(model.LinearAttentionGate, "ba")
	} else {
		d.qkv, d.z = s.weight(model.LinearAttention, "qkv"), s.weight(model.LinearAttention, "z")
		d.b, d.a = s.weight(model.LinearAttentionGate, "b"), s.weight(model.LinearAttentionGate, "a")
	}
	return d, s.err
}

// state is a vector of n numbers of a recurrent mixer, in whatever shape: A_log of Kimi
// Linear is [1, 1, n, 1].
func (s *site) state(part string, n int) *vector {
	return s.flat(key{role: model.State, layer: s.layer, part: part}, n)
}

func (d *delta) needs(p *part) {
	d.recurrent.needs(p)
	p.matrices(d.qkvz, d.ba, d.qkv, d.z, d.b, d.a, d.o)
	p.vectors(d.aLog, d.dtBias, d.norm)
}

func (d *delta) scratch() int {
	return d.recurrent.scratch() + 2*d.layer.Width + 4*d.layer.ValueHeads*d.layer.Values
}

func (d *delta) mix(p *pass, y, x []float32, b *batch) error {
	rows, vh := b.n, d.layer.ValueHeads
	mark := p.arena.mark()
	defer p.arena.release(mark)
	qkv, z := p.arena.floats(rows*d.layer.Width), p.arena.floats(rows*vh*d.layer.Values)
	rate, decay := p.arena.floats(rows*vh), p.arena.floats(rows*vh)
	d.project(p, qkv, z, rate, decay, x, rows)
	gates := recur.Decay{ALog: p.weights.vector(d.aLog), Bias: p.weights.vector(d.dtBias)}
	gates.Apply(decay)
	vec.Sigmoid(rate, rate)
	out := p.arena.floats(len(z))
	d.advance(p, out, qkv, decay, rate, d, b.segs)
	norm := recur.Norm{Weight: p.weights.vector(d.norm), Group: d.layer.Values, Eps: d.eps}
	width := vh * d.layer.Values
	p.each(rows, 8*width, func(first, n, _ int) {
		norm.Apply(out[first*width:][:n*width], z[first*width:][:n*width])
	})
	p.observe(out, rows, d.o)
	p.linear(y, out, rows, d.o, nil)
	return nil
}

// project makes rows of q, k and v, of output gates, write strengths and gates of decays.
func (d *delta) project(p *pass, qkv, z, b, a, x []float32, rows int) {
	if d.qkvz == nil {
		p.observe(x, rows, d.qkv, d.z)
		p.linear(qkv, x, rows, d.qkv, nil)
		p.linear(z, x, rows, d.z, nil)
		p.linear(b, x, rows, d.b, nil)
		p.linear(a, x, rows, d.a, nil)
		return
	}
	mark := p.arena.mark()
	defer p.arena.release(mark)
	vh := d.layer.ValueHeads
	wide, low := d.qkvz.out, d.ba.out
	fused, ba := p.arena.floats(rows*wide), p.arena.floats(rows*low)
	p.observe(x, rows, d.qkvz)
	p.linear(fused, x, rows, d.qkvz, nil)
	p.linear(ba, x, rows, d.ba, nil)
	q, v := d.layer.Width, vh*d.layer.Values
	p.each(rows, wide, func(first, n, _ int) {
		for r := first; r < first+n; r++ {
			d.split.QKVZ(qkv[r*q:][:q], z[r*v:][:v], fused[r*wide:][:wide])
			d.split.BA(b[r*vh:][:vh], a[r*vh:][:vh], ba[r*low:][:low])
		}
	})
}
