package runner

import (
	"context"
	"fmt"

	"quern/gpu"
	"quern/internal/invalid"
)

// Options say how to evaluate. Only Emulate,
// StaticScales, Device and Fast affect the results.
type Options struct {
	Workers int   // goroutines; 0: one a processor
	Memory  int64 // bytes for activations and weights; 0: 2 GiB. The weights of a block have to fit in any case
	TempDir string

	// Emulate rounds the inputs of weights in codes as engines do, by the rule of each
	// weight's scheme (quern/scheme/rounding).
	Emulate bool
	// StaticScales takes the scales that the checkpoint brings for them also where no
	// engine does, see Model.HasSpareScales.
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

// DefaultMemory is the memory of options that say none.
const DefaultMemory = 2 << 30

// Resume says where an evaluation goes on: with decoder layer Layer, which has to be
// Resumable, or, if that is the number of them, with what follows. What lies before it is
// not computed, and hooks do not see it.
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

// Bytes is the memory that the states take.
func (e *Evaluation) Bytes() int64 { return e.Hidden.Bytes() + e.MTP.Bytes() }

// Close gives the rows back.
func (e *Evaluation) Close() {
	if e != nil {
		e.Hidden.Close()
		e.MTP.Close()
	}
}

// evaluator is one evaluation under way.
type evaluator struct {
	*walk
	o      Options
	budget budget
	load   *loader
	starts []int // of the texts that are walked
	// embedded are the embeddings of all tokens, kept for multi-token prediction where
	// that has the same table: no byte is read twice.
	embedded *Rows
	// handed is what the last layer handed on, kept where multi-token prediction reads it.
	handed *Rows
}

// Evaluate runs texts, lists of token ids, through all layers. An id beyond the
// vocabulary, an empty text, and a hidden state that is no number match
// invalid.Input; the latter names layer, text and position.
func (m *Model) Evaluate(ctx context.Context, texts [][]int, o Options) (_ *Evaluation, err error) {
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if err := m.checkTexts(texts); err != nil {
		return nil, err
	}
	reclaim(o.Memory) // what an evaluation before has left
	ev := &Evaluation{Texts: texts, Starts: starts(texts, 0)}
	load := &loader{files: m.files, progress: o.Progress, total: m.weightBytes(!o.NoMTP), most: o.Memory / 16}
	e := &evaluator{o: o, load: load, budget: m.budget(o.Memory, ev.Starts[len(texts)], !o.NoMTP)}
	e.walk = &walk{
		pass: newPass(m, ctx, o.Workers, newStreamed(load, e.budget.left/4)), shelf: newShelf(e.budget.spill, o.TempDir), everyExpert: o.AllExperts,
		groups: e.groups, entered: e.entered, after: e.after,
	}
	e.room = e.budget.numbers()
	e.product, e.emulate, e.hooks = product{e.workers, o.Fast, o.Device}, o.Emulate, o.Hooks
	e.chunk = e.chunkRows()
	if o.Emulate {
		if e.static, err = m.scales(o.StaticScales); err != nil {
			return nil, err
		}
	}
	defer func() {
		load.wait() // nothing may be read behind our back
		e.shelf.close()
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
		if err := m.checkLength(len(t)); err != nil {
			return err
		}
		for p, id := range t {
			if id < 0 || id >= m.vocab {
				return invalid.Errorf("text %d, position %d: token id %d is not in the vocabulary of %d", i, p, id, m.vocab)
			}
		}
	}
	return nil
}

// checkLength refuses a text that is longer than the model's rope is computed for.
func (m *Model) checkLength(n int) error {
	if m.longest > 0 && n > m.longest {
		return invalid.Errorf("%q: a text of %d tokens; its rope turns those of more than %d in another way, which the runner does not compute", m.c.Path, n, m.longest)
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
		n += l.read()
	}
	if m.mtp != nil && mtp {
		n += m.mtp.read() + m.mtp.joining.read()
	}
	return n
}

// main runs the decoder layers and the final norm.
func (e *evaluator) main(ev *Evaluation) error {
	m := e.m
	x, err := e.begin(ev.Texts, 0, m.Width())
	if err != nil {
		return err
	}
	ev.Hidden = x
	first := 0
	if r := e.o.Resume; r != nil {
		if first, err = e.resume(r); err != nil {
			return err
		}
	} else if err := e.embed(x, m.mtp != nil && !e.o.NoMTP && m.mtp.embed == m.embed); err != nil {
		return err
	}
	if err := e.through(m.layers[first:]); err != nil {
		return err
	}
	if m.mtp != nil && m.mtp.raw && !e.o.NoMTP {
		if err := e.keep(); err != nil {
			return err
		}
	}
	ev.Hidden, err = e.finish(m.frame, m.final, m.norm, len(m.layers))
	return err
}

// begin makes room for a walk over texts that begin at token from.
func (e *evaluator) begin(texts [][]int, from, width int) (*Rows, error) {
	e.starts = starts(texts, from)
	e.place = place{starts: e.starts}
	e.tokens = nil
	for _, t := range texts {
		e.tokens = append(e.tokens, t[from:]...)
	}
	x, err := newRows(len(e.tokens), width, e.budget.spill, e.o.TempDir)
	e.x = x
	return x, err
}

// embed makes what the layers begin with of the tokens, and keeps the embeddings.
func (e *evaluator) embed(x *Rows, keep bool) (err error) {
	if !keep {
		return e.gather(x, e.m.embed)
	}
	if e.embedded, err = e.shelf.of(shelfEmbeddings, x.n, e.m.hidden); err != nil {
		return err
	}
	if err := e.gather(e.embedded, e.m.embed); err != nil {
		return err
	}
	return e.pieces(e.chunks(), func(at *batch, rows []float32) error {
		h, err := e.embedded.View(at.first, at.n, e.viewBuffer(e.embedded, at.n))
		if err != nil {
			return err
		}
		e.m.frame.expand(e.pass, rows, h, at.n)
		return x.put(at.first, rows)
	})
}

// resume takes states that an earlier evaluation left, and says with which layer it
// goes on.
func (e *evaluator) resume(r *Resume) (layer int, err error) {
	if !e.m.Resumable(r.Layer) {
		return 0, fmt.Errorf("runner: an evaluation cannot go on at layer %d: one from there on takes what an earlier one has left", r.Layer)
	}
	for _, l := range e.m.layers[:r.Layer] {
		e.load.count(l.read())
	}
	return r.Layer, e.pieces(e.chunks(), func(at *batch, x []float32) error {
		if err := r.Hidden(at.first, x); err != nil {
			return err
		}
		return e.x.put(at.first, x)
	})
}

// keep copies what the last layer handed on.
func (e *evaluator) keep() (err error) {
	if e.handed, err = e.shelf.of(shelfHanded, e.x.n, e.x.width); err != nil {
		return err
	}
	return e.pieces(e.chunks(), func(at *batch, x []float32) error { return e.handed.put(at.first, x) })
}

// finish makes final hidden states of what the layers handed on, in place unless there
// are several streams.
func (e *evaluator) finish(f frame, p *part, n *norm, layer int) (*Rows, error) {
	if err := e.weights.hold(p); err != nil {
		return e.x, err
	}
	if t := e.m.mtp; t == nil || e.o.NoMTP || t.final != p || layer < 0 { // a norm that is needed twice stays
		defer e.weights.release(p)
	}
	out, d := e.x, e.m.hidden
	if e.x.width != d {
		var err error
		if out, err = newRows(e.x.n, d, e.budget.spill, e.o.TempDir); err != nil {
			return e.x, err
		}
		defer e.x.Close()
	}
	return out, e.pieces(e.chunks(), func(at *batch, x []float32) error {
		h := x
		if out != e.x {
			h = e.fill(out, at)
			f.collapse(e.pass, h, x, at.n)
		}
		e.normalize(h, h, at.n, d, n)
		if layer >= 0 {
			if err := e.hidden(layer, at.first, h, at.n); err != nil {
				return err
			}
		}
		return out.put(at.first, h)
	})
}

// hidden tells the hook what a layer begins with.
func (e *evaluator) hidden(layer, first int, x []float32, rows int) error {
	if e.hooks == nil || e.hooks.Hidden == nil {
		return nil
	}
	return e.hooks.Hidden(layer, first, x, rows)
}

// entered is called with what a layer begins with.
func (e *evaluator) entered(l *layer, first int, x []float32, rows int) error {
	if l.index >= len(e.m.layers) {
		return nil // that of multi-token prediction
	}
	return e.hidden(l.index, first, x, rows)
}

// after is called when a layer is done with all texts.
func (e *evaluator) after(l *layer) error {
	err := e.pieces(e.chunks(), func(at *batch, x []float32) error { return e.finite(l.index, at.first, x) })
	if err != nil || e.hooks == nil || e.hooks.Done == nil {
		return err
	}
	return e.hooks.Done(l.index, e.x)
}
