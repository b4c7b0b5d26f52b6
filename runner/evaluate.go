package runner

import (
	"context"
	"fmt"

	"quern/gpu"
	"quern/internal/invalid"
	"quern/internal/vec"
)

// Options say how to evaluate. Only FP8Activations,
// StaticScales, Device and Fast affect the results.
type Options struct {
	Workers int   // goroutines; 0: one a processor
	Memory  int64 // bytes for activations and weights; 0: 2 GiB. Two matrices and one text have to fit in any case
	TempDir string

	// FP8Activations rounds the inputs of FP8 weights as engines do: in groups of 128
	// with a scale each.
	FP8Activations bool
	// StaticScales takes the scales that the checkpoint brings for them, where it does.
	StaticScales bool
	// Device multiplies where that is worth the way; nil: the processor does. Results
	// are then within the bound of gpu.Device.Mul, and repeat on the same device.
	Device gpu.Device
	// Fast multiplies in BF16 where the machine can. Results are then no reference.
	Fast bool
	// NoMTP leaves the layer of multi-token prediction out.
	NoMTP bool
	// AllExperts applies every expert to every token. What the others compute is
	// thrown away: results, routes and loads are as without it.
	AllExperts bool

	Hooks *Hooks
	// Resume, if set, is where an earlier evaluation of the same texts was cut.
	Resume *Resume
	// Progress, if set, is called with the bytes of weights that were read.
	Progress func(done, total int64)
}

const defaultMemory = 2 << 30

// Resume says where an evaluation goes on: with decoder layer Layer, or, if that is
// the number of them, with what follows. What lies before it is not computed, and
// hooks do not see it.
type Resume struct {
	Layer int
	// Hidden fills x with the rows from first on that Hooks.Done saw of layer
	// Layer − 1.
	Hidden func(first int, x []float32) error
}

// Evaluation is what the layers made of texts. Close gives its memory back.
type Evaluation struct {
	Texts [][]int
	// Starts are the rows at which texts begin, and at the end the number of rows.
	Starts []int
	Hidden *Rows // behind the final norm: what the output head reads

	// MTP are the states that the MTP head reads, nil without such a layer. Row i of
	// a text predicts its token i+2, so a text has one row less, and begins at
	// MTPStarts.
	MTP       *Rows
	MTPStarts []int
}

// Close gives the rows back.
func (e *Evaluation) Close() {
	if e != nil {
		e.Hidden.Close()
		e.MTP.Close()
	}
}

// evaluator is one evaluation under way.
type evaluator struct {
	*pass
	o     Options
	load  *loader
	bag   *bag
	spill bool
}

// Evaluate runs texts, lists of token ids, through all layers. An id beyond the
// vocabulary, an empty text, and a hidden state that is no number match
// invalid.Input; the latter names layer, text and position.
func (m *Model) Evaluate(ctx context.Context, texts [][]int, o Options) (_ *Evaluation, err error) {
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if err := m.checkTexts(texts); err != nil {
		return nil, err
	}
	ev := &Evaluation{Texts: texts, Starts: starts(texts, 0)}
	e := &evaluator{o: o, bag: newBag(), load: &loader{files: m.files, progress: o.Progress, total: m.weightBytes(!o.NoMTP)}}
	e.pass = &pass{
		m: m, ctx: ctx, workers: workersOf(o.Workers), product: product{workersOf(o.Workers), o.Fast, o.Device}, fp8: o.FP8Activations, hooks: o.Hooks,
		weights: e.bag, arena: &arena{},
	}
	if q := m.cfg.Quant; q != nil {
		e.pow2 = q.ScaleFmt == "ue8m0"
	}
	if o.FP8Activations && o.StaticScales {
		if e.static, err = m.staticScales(); err != nil {
			return nil, err
		}
	}
	rows := ev.Starts[len(texts)]
	stores := int64(rows) * int64(m.hidden) * 4
	// States, sums of experts, and those of MTP.
	e.spill = 3*stores > o.Memory/2
	defer func() {
		if e.load.last != nil {
			<-e.load.last.ready // nothing may be read behind our back
		}
		if err != nil {
			ev.Close()
		}
	}()
	if err := e.main(ev); err != nil {
		return nil, err
	}
	if m.mtp != nil && !o.NoMTP {
		if err := e.mtp(ev); err != nil {
			return nil, err
		}
	}
	if err := m.files.Check(); err != nil {
		return nil, err
	}
	if o.Progress != nil {
		o.Progress(e.load.total, e.load.total)
	}
	return ev, nil
}

func (m *Model) checkTexts(texts [][]int) error {
	if len(texts) == 0 {
		return invalid.Errorf("there is no text to run")
	}
	for i, t := range texts {
		if len(t) == 0 {
			return invalid.Errorf("text %d is empty", i)
		}
		for p, id := range t {
			if id < 0 || id >= m.vocab {
				return invalid.Errorf("text %d, position %d: token id %d is not in the vocabulary of %d", i, p, id, m.vocab)
			}
		}
	}
	return nil
}

// starts are the first rows of texts that have less rows than tokens.
func starts(texts [][]int, less int) []int {
	s := make([]int, len(texts)+1)
	for i, t := range texts {
		s[i+1] = s[i] + max(0, len(t)-less)
	}
	return s
}

// weightBytes is what an evaluation reads if every expert is chosen.
func (m *Model) weightBytes(mtp bool) int64 {
	n := int64(0)
	for _, l := range m.layers {
		n += l.bytes()
	}
	if m.mtp != nil && mtp {
		n += m.mtp.bytes() + m.mtp.proj.bytes()
	}
	return n
}

func (l *layer) bytes() int64 {
	n := int64(0)
	for _, m := range l.attn.matrices() {
		n += m.read()
	}
	if l.dense != nil {
		for _, m := range l.dense.matrices() {
			n += m.read()
		}
		return n
	}
	for _, m := range l.moe.common() {
		n += m.read()
	}
	for _, x := range l.moe.experts {
		for _, m := range x.matrices() {
			n += m.read()
		}
	}
	return n
}

// main runs the decoder layers and the final norm.
func (e *evaluator) main(ev *Evaluation) error {
	m := e.m
	x, err := newRows(ev.Starts[len(ev.Texts)], m.hidden, e.spill, e.o.TempDir)
	if err != nil {
		return err
	}
	ev.Hidden = x
	first, err := e.begin(ev, x)
	if err != nil {
		return err
	}
	y, err := e.sums(x)
	if err != nil {
		return err
	}
	defer y.Close()
	if err := e.layers(m.layers[first:], x, y, ev.Starts); err != nil {
		return err
	}
	return e.finalNorm(x, m.norm, eps(m.cfg), len(m.layers))
}

// begin fills x with what the first layer that is to be computed begins with, and
// says which one that is.
func (e *evaluator) begin(ev *Evaluation, x *Rows) (layer int, err error) {
	if r := e.o.Resume; r != nil {
		for _, l := range e.m.layers[:r.Layer] {
			e.load.count(l.bytes())
		}
		return r.Layer, e.chunks(x, func(first, _ int, h []float32) error {
			if err := r.Hidden(first, h); err != nil {
				return err
			}
			return x.put(first, h)
		})
	}
	var ids []int
	for _, t := range ev.Texts {
		ids = append(ids, t...)
	}
	return 0, e.gather(x, e.m.embed, ids)
}

// sums are the rows in which experts add up.
func (e *evaluator) sums(x *Rows) (*Rows, error) {
	return newRows(x.n, x.width, e.spill, e.o.TempDir)
}

// finalNorm normalizes x in place.
func (e *evaluator) finalNorm(x *Rows, norm *vector, eps float32, layer int) error {
	u := e.load.start(nil, []*vector{norm})
	if err := e.bag.add(u); err != nil {
		return err
	}
	defer e.bag.remove(u)
	return e.chunks(x, func(first, n int, h []float32) error {
		e.normalize(h, h, n, x.width, norm, eps)
		if layer >= 0 {
			if err := e.hidden(layer, first, h, n); err != nil {
				return err
			}
		}
		return x.put(first, h)
	})
}

// hidden tells the hook what a layer begins with.
func (e *evaluator) hidden(layer, first int, x []float32, rows int) error {
	if e.hooks == nil || e.hooks.Hidden == nil {
		return nil
	}
	return e.hooks.Hidden(layer, first, x, rows)
}

// mtp runs the layer of multi-token prediction on the states of the main model.
func (e *evaluator) mtp(ev *Evaluation) error {
	m, t := e.m, e.m.mtp
	ev.MTPStarts = starts(ev.Texts, 1)
	rows := ev.MTPStarts[len(ev.Texts)]
	z, err := newRows(rows, m.hidden, e.spill, e.o.TempDir)
	if err != nil {
		return err
	}
	ev.MTP = z
	if rows == 0 {
		return nil
	}
	var next []int
	for _, t := range ev.Texts {
		next = append(next, t[1:]...)
	}
	if err := e.gather(z, t.embed, next); err != nil {
		return err
	}
	u := e.load.start([]*matrix{t.proj}, []*vector{t.enorm, t.hnorm})
	if err := e.bag.add(u); err != nil {
		return err
	}
	e.place = place{starts: ev.MTPStarts}
	for i := range ev.Texts {
		if err := e.joinText(ev, z, i); err != nil {
			return err
		}
	}
	e.bag.remove(u)
	e.load.drop(u)
	y, err := e.sums(z)
	if err != nil {
		return err
	}
	defer y.Close()
	if err := e.layers([]*layer{t.layer}, z, y, ev.MTPStarts); err != nil {
		return err
	}
	return e.finalNorm(z, t.norm, eps(m.cfg), -1)
}

// joinText makes the inputs of the MTP layer for one text out of the embeddings in z.
func (e *evaluator) joinText(ev *Evaluation, z *Rows, text int) error {
	from, to := ev.MTPStarts[text], ev.MTPStarts[text+1]
	step := e.chunkRows()
	for first := from; first < to; first += step {
		n := min(step, to-first)
		mark := e.arena.mark()
		emb, err := z.View(first, n, e.arena.floats(n*z.width))
		if err != nil {
			return err
		}
		h, err := ev.Hidden.View(ev.Starts[text]+first-from, n, e.arena.floats(n*z.width))
		if err != nil {
			return err
		}
		out := e.arena.floats(n * z.width)
		e.place.first = first
		e.m.mtp.join(e.pass, out, emb, h, n)
		if err := z.put(first, out); err != nil {
			return err
		}
		e.arena.release(mark)
	}
	return nil
}

// join computes eh_proj([enorm(embedding) ‖ hnorm(state)]) for rows.
func (t *mtp) join(p *pass, out, emb, h []float32, rows int) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	d := p.m.hidden
	both := p.arena.floats(rows * 2 * d)
	enorm, hnorm, ep := p.weights.vector(t.enorm), p.weights.vector(t.hnorm), eps(p.m.cfg)
	p.each(rows, 2*d, func(first, n, _ int) {
		for r := first; r < first+n; r++ {
			vec.RMSNorm(both[2*r*d:][:d], emb[r*d:][:d], enorm, ep)
			vec.RMSNorm(both[(2*r+1)*d:][:d], h[r*d:][:d], hnorm, ep)
		}
	})
	p.observe(both, rows, t.proj)
	p.linear(out, both, rows, t.proj, nil)
}

// chunkRows is how many rows pass a feed-forward block at once.
func (e *evaluator) chunkRows() int {
	c := e.m.cfg
	inner := max(c.ExpertSize(), c.SharedSize(), c.IntermediateSize)
	per := 4 * int64(3*e.m.hidden+4*inner)
	return int(min(max(e.o.Memory/8/per, 64), 4096))
}

// chunks calls fn with all rows of x, a chunk at a time.
func (e *evaluator) chunks(x *Rows, fn func(first, n int, h []float32) error) error {
	step := e.chunkRows()
	for first := 0; first < x.n; first += step {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		n := min(step, x.n-first)
		e.place.first = first
		mark := e.arena.mark()
		var buf []float32
		if x.file != nil {
			buf = e.arena.floats(n * x.width)
		}
		h, err := x.View(first, n, buf)
		if err != nil {
			return err
		}
		if err := fn(first, n, h); err != nil {
			return err
		}
		e.arena.release(mark)
	}
	return nil
}

// finite refuses states that are no numbers.
func (e *evaluator) finite(layer int, starts []int, first int, h []float32) error {
	i := vec.FirstNonFinite(h)
	if i < 0 {
		return nil
	}
	row := first + i/e.m.hidden
	text := 0
	for starts[text+1] <= row {
		text++
	}
	return invalid.Errorf("%q: layer %d gives %v for text %d, position %d, channel %d: the model computes no number there", e.m.c.Path, layer, h[i], text, row-starts[text], i%e.m.hidden)
}

// gather reads the embeddings of ids into the rows of x, each row of the table once.
func (e *evaluator) gather(x *Rows, table *matrix, ids []int) error {
	order := byID(ids)
	slab := make([]byte, table.bytes()/int64(table.out))
	row := make([]float32, table.in)
	for i, at := range order {
		if i == 0 || ids[at] != ids[order[i-1]] {
			if err := table.row(e.m.files, row, slab, ids[at]); err != nil {
				return fmt.Errorf("embedding of token %d: %w", ids[at], err)
			}
			e.load.count(int64(len(slab)))
		}
		if err := x.put(at, row); err != nil {
			return err
		}
	}
	return nil
}
