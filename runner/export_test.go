package runner

import (
	"context"

	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/vec"
)

// Arrangements are ways to build a layer that no row of families has yet, as tests of
// what blocks can say. They are those of llama but for what is changed here.
var Arrangements = map[string]func(f *family){
	"sequential": func(*family) {},
	"layer norm": func(f *family) { f.norms = layerNorm },
	"1+w":        func(f *family) { f.norms = rootMeanPlus },
	"factors": func(f *family) {
		f.computes = set("embedding_multiplier attention_multiplier residual_multiplier logits_scaling final_logit_softcapping")
	},
	"cohere factors": func(f *family) { f.computes = set("logit_scale query_pre_attn_scalar") },
	// Cohere: attention and a feed-forward block from one norm.
	"parallel": func(f *family) {
		f.arrange = func(s *site) ([]*block, error) {
			mix, feed, err := s.both()
			n := s.first()
			s.second() // its tensor has no use
			return []*block{
				{norm: n, mixer: mix, rule: s.add(), aside: "attention"},
				{norm: n, mixer: feed, rule: s.add(), with: "attention"},
			}, err
		}
	},
	// Gemma: norms behind the mixers, too.
	"sandwich": func(f *family) {
		f.arrange = func(s *site) ([]*block, error) {
			mix, feed, err := s.both()
			return []*block{
				{norm: s.first(), mixer: mix, after: s.second(), rule: s.add()},
				{norm: s.second(), mixer: feed, after: s.first(), rule: s.add()},
			}, err
		}
	},
	// Gemma-4: two feed-forward blocks beside each other, with a norm of their sum.
	"beside": func(f *family) {
		f.arrange = func(s *site) ([]*block, error) {
			mix, feed, err := s.both()
			n := s.first()
			return []*block{
				{norm: n, mixer: mix, rule: s.add()},
				{norm: s.second(), mixer: feed, after: s.second(), rule: s.add(), aside: "dense"},
				{norm: n, mixer: feed, after: n, with: "dense", joined: s.first(), rule: s.add()},
			}, err
		}
	},
	// LongCat: two attentions and two feed-forward blocks, and one that joins at the end.
	"double": func(f *family) {
		f.arrange = func(s *site) ([]*block, error) {
			mix, feed, err := s.both()
			if err != nil {
				return nil, err
			}
			again, err := s.mixer()
			return []*block{
				{norm: s.first(), mixer: mix, rule: s.add()},
				{norm: s.first(), mixer: feed, rule: s.add(), aside: "shortcut"},
				{norm: s.second(), mixer: feed, rule: s.add()},
				{norm: s.first(), mixer: again, rule: s.add()},
				{norm: s.second(), mixer: feed, with: "shortcut", rule: s.add()},
			}, err
		}
	},
	// Layers of types of which one has no mixer.
	"unknown type": func(f *family) {
		f.mixers = mixers{"full_attention": newGrouped}
		f.kind = func(_ *model.Config, layer int) string { return []string{"full_attention", "mystery"}[layer] }
	},
	// Hyper-connections: several streams, read and written with weights of their own,
	// of which one depends on what was read.
	"streams": func(f *family) {
		f.frame = func(s *site) frame { return streams(s.c.HiddenSize) }
		f.arrange = func(s *site) ([]*block, error) {
			mix, feed, err := s.both()
			return []*block{
				{norm: s.first(), mixer: mix, rule: streamRule{streams(s.c.HiddenSize)}},
				{norm: s.second(), mixer: feed, rule: streamRule{streams(s.c.HiddenSize)}},
			}, err
		}
	},
	// A recurrent mixer, and one that takes what it left for it.
	"recurrent": func(f *family) {
		f.mixers = mixers{"": newDecay}
		f.arrange = func(s *site) ([]*block, error) {
			_, err := newGrouped(s) // its tensors have no use
			mix, feed, err2 := s.both()
			if err == nil {
				err = err2
			}
			return []*block{
				{norm: s.first(), mixer: mix, rule: s.add()},
				{mixer: taker{}, rule: s.add()},
				{norm: s.second(), mixer: feed, rule: s.add()},
			}, err
		}
	},
}

// ExpertArrangements are those of models with experts.
var ExpertArrangements = map[string]func(f *family){
	"experts": func(*family) {},
	// LongCat: the last expert gives what it reads.
	"zero experts": func(f *family) {
		f.arrange = changeExperts(func(_ *site, x *experts) { x.experts[3], x.parts[3] = nil, &part{} })
	},
	// Kimi K3: experts between two projections (of attention, for want of others).
	"latent experts": func(f *family) {
		f.arrange = changeExperts(func(s *site, x *experts) {
			o := s.weight(model.Attention, "o")
			x.latent = &latentExperts{down: o, up: o, norm: s.first()}
		})
	},
}

func changeExperts(change func(s *site, x *experts)) arrangement {
	return func(s *site) ([]*block, error) {
		blocks, err := sequential(s)
		if err == nil {
			change(s, blocks[1].mixer.(*experts))
		}
		return blocks, err
	}
}

func (s *site) both() (mix, feed mixer, err error) {
	if mix, err = s.mixer(); err != nil {
		return nil, nil, err
	}
	feed, err = s.feedForward()
	return mix, feed, err
}

func (s *site) first() *norm { return s.norm("input_layernorm", s.c.HiddenSize, eps(s.c)) }

func (s *site) second() *norm {
	return s.norm("post_attention_layernorm", s.c.HiddenSize, eps(s.c))
}

// OpenAs opens a checkpoint in one of the arrangements.
func OpenAs(c *hf.Checkpoint, arrangement string) (*Model, error) {
	f := families[c.Arch().Name()]
	change := Arrangements[arrangement]
	if change == nil {
		change = ExpertArrangements[arrangement]
	}
	change(&f)
	return f.open(c, nil)
}

// StableTies makes a model choose the first of keys whose scores are equal. As it is, it
// chooses as torch does, by the number of tokens that are known of the text.
func StableTies(m *Model) { m.stableTies = true }

// streams are two of so many numbers.
type streams int

func (d streams) width() int                       { return 2 * int(d) }
func (streamRule) keeps() int                      { return 1 }
func (d streams) row(x []float32) (a, b []float32) { return x[:d], x[d : 2*d] }

func (streams) needs(*part) {}

// streamRule is their residual rule.
type streamRule struct{ streams }

func (streamRule) needs(_, _ *part) {}

func (d streams) expand(_ *pass, x, hidden []float32, rows int) {
	for r := range rows {
		a, b := d.row(x[r*d.width():])
		copy(a, hidden[r*int(d):])
		copy(b, hidden[r*int(d):])
	}
}

func (d streams) collapse(_ *pass, hidden, x []float32, rows int) {
	for r := range rows {
		a, b := d.row(x[r*d.width():])
		for i := range a {
			hidden[r*d.width()/2+i] = (a[i] + b[i]) / 2
		}
	}
}

func (d streamRule) enter(p *pass, x, keep []float32, rows int) []float32 {
	in := p.arena.floats(rows * int(d.streams))
	for r := range rows {
		a, b := d.row(x[r*d.width():])
		keep[r] = a[0]
		for i := range a {
			in[r*d.width()/2+i] = 0.75*a[i] + 0.5*b[i]
		}
	}
	return in
}

func (d streamRule) leave(_ *pass, x, y, keep []float32, rows int) {
	for r := range rows {
		a, b := d.row(x[r*d.width():])
		for i := range a {
			v := y[r*d.width()/2+i]
			a[i], b[i] = b[i]+v, 0.5*a[i]+keep[r]*v
		}
	}
}

// decay gives sums of what was, halved at each token.
type decay struct{ hidden int }

func newDecay(s *site) (mixer, error) { return &decay{s.c.HiddenSize}, nil }

func (*decay) needs(*part)       {}
func (d *decay) scratch() int    { return d.hidden }
func (d *decay) newState() state { return &decayed{sum: make([]float32, d.hidden)} }

func (d *decay) mix(_ *pass, y, x []float32, b *batch) error {
	for _, s := range b.segs {
		state := d.newState().(*decayed)
		if s.memory != nil {
			state = s.memory.of(d).(*decayed)
		}
		for i := range s.n {
			row := x[(s.first+i)*d.hidden:][:d.hidden]
			state.add(row)
			copy(y[(s.first+i)*d.hidden:][:d.hidden], state.sum)
		}
	}
	left, err := b.shelf.of("left", b.rows, d.hidden)
	if err != nil {
		return err
	}
	return left.put(b.first, y[:b.n*d.hidden])
}

// decayed is marked by a copy and what came since.
type decayed struct {
	sum, marked []float32
	since       [][]float32
	n, at       int // tokens, now and at the mark
}

func (s *decayed) add(row []float32) {
	vec.Scale(s.sum, 0.5)
	vec.Add(s.sum, row)
	s.n++
	s.since = append(s.since, append([]float32(nil), row...))
}

func (s *decayed) mark() {
	s.marked, s.since, s.at = append([]float32(nil), s.sum...), nil, s.n
}

func (s *decayed) rewind(n int) {
	again := s.since[:n-s.at]
	s.sum, s.since, s.n = append([]float32(nil), s.marked...), nil, s.at
	for _, row := range again {
		s.add(row)
	}
}

// taker gives what decay left on the shelf, times what the hidden states are.
type taker struct{}

func (taker) needs(*part) {}

func (taker) mix(p *pass, y, x []float32, b *batch) error {
	left, err := b.shelf.of("left", b.rows, p.m.hidden)
	if err != nil {
		return err
	}
	rows, err := left.View(b.first, b.n, make([]float32, b.n*p.m.hidden))
	if err != nil {
		return err
	}
	copy(y, rows)
	vec.Mul(y[:b.n*p.m.hidden], b.raw[:b.n*p.m.hidden])
	return nil
}

// Rounded is what engines make of inputs of a module, as many rows of its width as there
// are, with the name of the rule; "" where they stay as they are.
func (m *Model) Rounded(module string, x []float32) (rule string, y []float32, width int, err error) {
	scales, err := m.scales(false)
	if err != nil {
		return "", nil, 0, err
	}
	p := newPass(m, context.Background(), 1, nil)
	p.emulate, p.static = true, scales
	for _, w := range m.fed {
		if w.module == module {
			return w.fed.rule.Name, p.rounded(x, len(x)/w.in, w), w.in, nil
		}
	}
	return "", x, len(x), nil
}

// AttentionMemory is what attention of the first layer takes in an evaluation of one text
// within so many bytes: rows that pass together, what is kept of the text, scores, and keys
// and values of the heads that are at work.
func AttentionMemory(m *Model, tokens int, memory int64, workers int) int64 {
	e := &evaluator{walk: &walk{pass: &pass{m: m, workers: workers}, x: &Rows{width: m.Width()}}, starts: []int{0, tokens}, budget: m.budget(memory, tokens, false)}
	e.room = e.budget.numbers()
	a := m.layers[0].latent()
	gs := e.groups(a.scratch())
	rows := gs[0].n * (a.scratch() + 3*m.hidden + 2*m.Width())
	last := gs[len(gs)-1].segs
	scores := workers * e.blocksOf(last, tokens).room
	keys := max(e.room, tokens*(a.nope+a.rotated+a.valueSize))
	return 4 * int64(rows+tokens*(a.rank+a.rotated)+scores+keys)
}

// Lengths are those of drafts that follow one of length 1, as verdicts say: each is about
// drafts of the length before, of which a pass takes pass(k) plain ones and yields tokens(k).
func Lengths(verdicts int, pass, tokens func(k int) float64) []int {
	m, ks, k := &meter{passes: trial}, []int{1}, 1
	for range verdicts {
		for s, x := range map[*samples]float64{&m.plain: 1, &m.pass: pass(k) - 0.1, &m.draft: 0.1} {
			s.count = 8
			s.seconds = []float64{x, x, x, x, 1000 * x, x, x, 0} // others had the machine for a while
			s.bytes = make([]float64, 8)
		}
		m.passes, m.lately = trial, yield{int(100 * tokens(k)), 100}
		if k = m.next(k); k == 0 {
			return append(ks, k)
		}
		ks = append(ks, k)
	}
	return ks
}
