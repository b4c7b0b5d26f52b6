package runner

import (
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/hyper"
)

// gatedStreams is the residual rule of Qwen3.8: a block reads the mean of normalized
// streams behind gates of low rank, and each stream takes its result by a factor. Behind
// the last layer the same makes the final hidden state, without a norm.
type gatedStreams struct {
	weight           *vector // of the norms, stream by stream
	down, up, inject *matrix // inject is nil behind the last layer
	eps              float32
	hyper.Gated
}

// gatedStreams is that of a block ("attn", "ffn"), or behind the layers ("head").
func (s *site) gatedStreams(block string) (*gatedStreams, error) {
	c := s.c
	if c.HCMult <= 0 {
		return nil, invalid.Errorf("config.json: %d streams of the residual", c.HCMult)
	}
	weight := func(part string) *matrix { return s.weight(model.HyperConnection, block+"_"+part) }
	g := &gatedStreams{
		weight: s.vector(key{role: model.HyperConnection, layer: s.layer, part: block + "_norm"}, c.HCMult*c.HiddenSize),
		down:   weight("down"), up: weight("up"), eps: eps(c), Gated: hyper.Gated{Streams: c.HCMult, Hidden: c.HiddenSize},
	}
	g.weight.plus = 1
	if block != "head" {
		g.inject = weight("inject")
	}
	return g, s.err
}

func (g *gatedStreams) needs(first, _ *part) {
	first.matrices(g.down, g.up, g.inject)
	first.vectors(g.weight)
}

func (g *gatedStreams) keeps() int { return g.Streams }

// byStream writes the norms of streams.
func (p *pass) byStream(dst, x []float32, rows, streams int, weight *vector, eps float32) {
	w := p.weights.vector(weight)
	width := len(w)
	n := width / streams
	p.each(rows*streams, n, func(first, count, _ int) {
		for i := first; i < first+count; i++ {
			vec.RMSNorm(dst[i*n:][:n], x[i*n:][:n], w[i%streams*n:][:n], eps)
		}
	})
}

// read writes what a block reads to in, and to keep what leave needs.
func (g *gatedStreams) read(p *pass, in, x, keep []float32, rows int) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	width := g.Streams * g.Hidden
	y, low, gate := p.arena.floats(rows*width), p.arena.floats(rows*g.down.out), p.arena.floats(rows*width)
	p.byStream(y, x, rows, g.Streams, g.weight, g.eps)
	p.linear(low, y, rows, g.down, nil)
	g.Low(low, p.arena.floats(len(low)))
	p.linear(gate, low, rows, g.up, nil)
	p.each(rows, 4*width, func(first, n, _ int) {
		for r := first; r < first+n; r++ {
			g.In(in[r*g.Hidden:][:g.Hidden], y[r*width:][:width], gate[r*width:][:width])
		}
	})
	if g.inject != nil {
		p.linear(keep, y, rows, g.inject, nil)
	}
}

func (g *gatedStreams) enter(p *pass, x, keep []float32, rows int) []float32 {
	in := p.arena.floats(rows * g.Hidden)
	g.read(p, in, x, keep, rows)
	return in
}

func (g *gatedStreams) leave(p *pass, x, y, keep []float32, rows int) {
	width := g.Streams * g.Hidden
	p.each(rows, width, func(first, n, _ int) {
		for r := first; r < first+n; r++ {
			g.Out(x[r*width:][:width], y[r*g.Hidden:][:g.Hidden], keep[r*g.Streams:])
		}
	})
}

// gatedFrame is the frame around them.
type gatedFrame struct {
	copies
	last *gatedStreams
}

func newGatedFrame(s *site) frame {
	last, err := s.gatedStreams("head")
	if s.err == nil {
		s.err = err
	}
	return gatedFrame{copies{max(s.c.HCMult, 1), s.c.HiddenSize}, last}
}

func (f gatedFrame) needs(p *part) {
	if f.last != nil {
		f.last.needs(p, nil)
	}
}

func (f gatedFrame) collapse(p *pass, hidden, x []float32, rows int) {
	f.last.read(p, hidden, x, nil, rows)
}

// gatedBlocks are, on some layers, embeddings of n-grams, then a mixer and experts between
// gated streams.
func gatedBlocks(s *site) ([]*block, error) {
	mix, err := s.mixer()
	if err != nil {
		return nil, err
	}
	feed, err := s.feedForward()
	if err != nil {
		return nil, err
	}
	blocks := []*block{{mixer: mix}, {mixer: feed}}
	for i, name := range []string{"attn", "ffn"} {
		if blocks[i].rule, err = s.gatedStreams(name); err != nil {
			return nil, err
		}
	}
	if s.has(model.LayerEmbedding, "key") {
		grams, err := newGrams(s)
		return append([]*block{{mixer: grams, rule: inPlace{}}}, blocks...), err
	}
	return blocks, nil
}

// inPlace is the rule of a mixer that changes the streams, its raw input, itself.
type inPlace struct{}

func (inPlace) needs(_, _ *part) {}

func (inPlace) keeps() int { return 0 }

func (inPlace) enter(_ *pass, x, _ []float32, _ int) []float32 { return x }

func (inPlace) leave(*pass, []float32, []float32, []float32, int) {}
