package runner

import (
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/source"
	"quern/store"
)

// Model is a checkpoint laid out for running. It holds no weights and is safe for
// concurrent use; Close closes its files.
type Model struct {
	c     *hf.Checkpoint
	cfg   *model.Config
	fam   *family
	files *source.Files

	embed, head *matrix
	headBias    *vector // or nil (PhiMoE)
	norm        *norm
	final       *part // norm, and what makes one state of the streams
	frame       frame
	factors     factors
	layers      []*layer
	mtp         *mtp // nil when there is none
	hidden      int
	vocab       int
	longest     int       // text that is computed; 0: any
	fed         []*matrix // weights whose inputs engines round, or that have a scale for them
	remarks     []string

	// stableTies makes selections of keys take the first of equal scores, so that they do
	// not depend on how much of a text is known. Tests set it.
	stableTies bool
}

// Open lays out a checkpoint. An architecture that is not computed, tensors that are
// missing or of another shape than the config says, and forms of weights that are
// not read match invalid.Input. Weights are read from a folder that holds the same
// files; nil is the one where c was opened.
func Open(c *hf.Checkpoint, from store.Folder) (*Model, error) {
	if !c.HasConfig {
		return nil, invalid.Errorf("%q: a model without config.json cannot be run; give the folder that has config.json and the weights", c.Path)
	}
	if err := Supported(c.Arch()); err != nil {
		return nil, err
	}
	fam := families[c.Arch().Name()]
	return fam.open(c, from)
}

// open lays out a checkpoint as one of the family.
func (f *family) open(c *hf.Checkpoint, from store.Folder) (*Model, error) {
	b, err := newBuilder(c)
	if err != nil {
		return nil, err
	}
	m := &Model{c: c, cfg: c.Config, fam: f, files: source.New(c, from), hidden: c.Config.HiddenSize, vocab: c.Config.VocabSize}
	if err := m.build(b); err != nil {
		return nil, err
	}
	if m.remarks, err = lookAt(c.Arch().Name(), f, m.cfg); err != nil {
		return nil, err
	}
	unused, err := b.account(m)
	m.remarks = append(m.remarks, unused...)
	return m, err
}

// Remarks say what of the checkpoint has no part in what is computed, and which fields
// of its config nobody has looked at.
func (m *Model) Remarks() []string { return m.remarks }

// Close closes the files that are open.
func (m *Model) Close() { m.files.Close() }

// Vocab is the number of logits.
func (m *Model) Vocab() int { return m.vocab }

// Hidden is the width of a hidden state.
func (m *Model) Hidden() int { return m.hidden }

// Width is the width of what layers hand on: the hidden size, times the number of
// streams where there are several.
func (m *Model) Width() int { return m.frame.width() }

// Layers is the number of decoder layers without multi-token prediction.
func (m *Model) Layers() int { return len(m.layers) }

// HasMTP reports whether there is a layer of multi-token prediction.
func (m *Model) HasMTP() bool { return m.mtp != nil }

// Config is the config of the checkpoint.
func (m *Model) Config() *model.Config { return m.cfg }

// Checkpoint is what the model was opened from.
func (m *Model) Checkpoint() *hf.Checkpoint { return m.c }

// Routed describes the layers that have routed experts.
type Routed struct {
	Layer   int
	Experts int // that the router chooses from
	Zero    int // of them, the last ones: they have no weights and give what they read
	TopK    int
	MTP     bool
}

// Routed lists the layers with routed experts in order, that of MTP last.
func (m *Model) Routed() []Routed {
	var out []Routed
	add := func(l *layer, mtp bool) {
		if x := l.routed(); x != nil {
			out = append(out, Routed{Layer: l.index, Experts: len(x.experts), Zero: x.zero(), TopK: x.router.topK, MTP: mtp})
		}
	}
	for _, l := range m.layers {
		add(l, false)
	}
	if m.mtp != nil {
		add(m.mtp.layer, true)
	}
	return out
}

func (m *Model) build(b *builder) error {
	site := func(layer int) *site {
		return &site{builder: b, c: m.cfg, fam: m.fam, layer: layer, factors: &m.factors}
	}
	m.factors = factorsOf(m.cfg, m.fam)
	outer := site(-1)
	m.embed = outer.weight(model.Embedding, "")
	last := "norm"
	if outer.has(model.Norm, "norm_f") {
		last = "norm_f" // Nemotron-H
	}
	if !m.fam.bare {
		m.norm = outer.norm(last, m.hidden, eps(m.cfg))
	}
	m.frame = single(m.hidden)
	if m.fam.frame != nil {
		m.frame = m.fam.frame(outer)
	}
	m.final = partOf(m.norm, m.frame)
	m.head = m.embed
	if outer.has(model.Head, "") || !m.cfg.TieEmbeddings {
		m.head = outer.weight(model.Head, "")
	}
	if k := (key{role: model.Bias, layer: -1, part: "lm_head"}); b.has(k) || outer.on("lm_head_bias") {
		m.headBias = b.vector(k, m.vocab)
	}
	ropes := newRopes(m.cfg, m.fam)
	if k := (key{role: model.Factor, layer: -1, part: "rotary.alpha"}); b.has(k) {
		alpha := b.vector(k, m.cfg.QKRopeHeadDim/2)
		if b.err != nil {
			return b.err
		}
		var err error
		if ropes.learned, err = alpha.load(m.files); err != nil {
			return err
		}
	}
	lay := func(i int) (*layer, error) {
		s := site(i)
		s.ropes = ropes
		return s.lay()
	}
	for i := range m.cfg.NumHiddenLayers {
		l, err := lay(i)
		if err != nil {
			return err
		}
		m.layers = append(m.layers, l)
	}
	mtp := m.fam.mtp
	if mtp == nil {
		mtp = nextn
	}
	s := site(m.cfg.NumHiddenLayers)
	s.ropes = ropes
	t, err := mtp(s)
	if err != nil {
		return err
	}
	if t != nil {
		m.mtp = t
		t.complete(m)
	}
	m.fed, m.longest = b.fed, ropes.longest()
	return b.err
}
