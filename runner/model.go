package runner

import (
	"math"

	"quern/convert/plan"
	"quern/formats/hf"
	"quern/formats/model"
	"quern/internal/blockio"
	"quern/internal/invalid"
	"quern/source"
)

// Model is a checkpoint laid out for running. It holds no weights and is safe for
// concurrent use; Close closes its files.
type Model struct {
	c     *hf.Checkpoint
	cfg   *model.Config
	fam   family
	files *source.Files

	embed, head *matrix
	norm        *vector
	layers      []*layer
	mtp         *mtp // nil when there is none
	hidden      int
	vocab       int
	static      []*matrix // weights with a static scale for their input
	remarks     []string
}

// layer is a decoder layer.
type layer struct {
	index               int
	inputNorm, postNorm *vector
	attn                attention
	dense               *mlp     // nil when there are experts
	moe                 *experts // nil when there are none
}

// mtp is the layer of multi-token prediction behind the last layer, which predicts
// the token after the next (reference: DeepSeek-V3, arXiv 2412.19437 §2.2; the
// layout of eh_proj, embedding first, is that of the released weights).
type mtp struct {
	*layer
	embed, head, proj  *matrix
	enorm, hnorm, norm *vector
}

// Open lays out a checkpoint. An architecture that is not computed, tensors that are
// missing or of another shape than the config says, and forms of weights that are
// not read match invalid.Input. fs nil is the machine's file system.
func Open(c *hf.Checkpoint, fs blockio.FS) (*Model, error) {
	if !c.HasConfig {
		return nil, invalid.Errorf("%q: a model without config.json cannot be run; give the folder that has config.json and the weights", c.Path)
	}
	if err := Supported(c.Arch()); err != nil {
		return nil, err
	}
	b, err := newBuilder(c)
	if err != nil {
		return nil, err
	}
	m := &Model{c: c, cfg: c.Config, fam: families[c.Arch().Name()], files: source.New(c, fs), hidden: c.Config.HiddenSize, vocab: c.Config.VocabSize}
	if err := m.build(b); err != nil {
		return nil, err
	}
	if m.remarks, err = lookAt(c.Arch().Name(), m.fam, m.cfg); err != nil {
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

// Layers is the number of decoder layers without multi-token prediction.
func (m *Model) Layers() int { return len(m.layers) }

// HasMTP reports whether there is a layer of multi-token prediction.
func (m *Model) HasMTP() bool { return m.mtp != nil }

// HasStaticScales reports whether the checkpoint brings scales for activations.
func (m *Model) HasStaticScales() bool { return len(m.static) > 0 }

// StaticScales reads them, by the path of their module.
func (m *Model) StaticScales() (map[string]float32, error) {
	scales, err := m.staticScales()
	if err != nil {
		return nil, err
	}
	out := make(map[string]float32, len(scales))
	for w, s := range scales {
		out[w.module] = s
	}
	return out, nil
}

// staticScales reads them.
func (m *Model) staticScales() (map[*matrix]float32, error) {
	out := make(map[*matrix]float32, len(m.static))
	for _, w := range m.static {
		v := vector{view: *w.inputScale, n: 1}
		s, err := v.load(m.files)
		if err != nil {
			return nil, err
		}
		if !(s[0] > 0) || math.IsInf(float64(s[0]), 0) {
			return nil, invalid.Errorf("tensor %q: %v is no scale", v.view.Name, s[0])
		}
		out[w] = s[0]
	}
	return out, nil
}

// Config is the config of the checkpoint.
func (m *Model) Config() *model.Config { return m.cfg }

// Checkpoint is what the model was opened from.
func (m *Model) Checkpoint() *hf.Checkpoint { return m.c }

// Routed describes the layers that have routed experts.
type Routed struct {
	Layer   int
	Experts int
	TopK    int
	MTP     bool
}

// Routed lists the layers with routed experts in order, that of MTP last.
func (m *Model) Routed() []Routed {
	var out []Routed
	add := func(l *layer, mtp bool) {
		if l.moe != nil {
			out = append(out, Routed{Layer: l.index, Experts: len(l.moe.experts), TopK: l.moe.router.topK, MTP: mtp})
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
	m.embed = b.matrix(key{role: model.Embedding, layer: -1})
	m.norm = b.vector(key{role: model.Norm, layer: -1, part: "norm"}, m.hidden)
	m.head = m.embed
	if head := (key{role: model.Head, layer: -1}); b.has(head) || !m.cfg.TieEmbeddings {
		m.head = b.matrix(head)
	}
	ropes := newRopes(m.cfg, m.fam)
	for i := range m.cfg.NumHiddenLayers {
		l, err := m.layer(b, i, ropes)
		if err != nil {
			return err
		}
		m.layers = append(m.layers, l)
	}
	if n := m.cfg.NumHiddenLayers; b.has(key{role: model.MTPProjection, layer: n}) {
		l, err := m.layer(b, n, ropes)
		if err != nil {
			return err
		}
		norm := func(part string) *vector {
			return b.vector(key{role: model.Norm, layer: n, part: part}, m.hidden)
		}
		m.mtp = &mtp{layer: l, embed: m.embed, head: m.head, proj: b.matrix(key{role: model.MTPProjection, layer: n}), enorm: norm("enorm"), hnorm: norm("hnorm"), norm: norm("norm")}
		if k := (key{role: model.Embedding, layer: n}); b.has(k) {
			m.mtp.embed = b.matrix(k)
		}
		if k := (key{role: model.MTPHead, layer: n}); b.has(k) {
			m.mtp.head = b.matrix(k)
		}
	}
	m.static = b.static
	return b.err
}

// layer lays out decoder layer i.
func (m *Model) layer(b *builder, i int, ropes *ropes) (*layer, error) {
	c := m.cfg
	l := &layer{index: i}
	l.inputNorm = b.vector(key{role: model.Norm, layer: i, part: "input_layernorm"}, m.hidden)
	l.postNorm = b.vector(key{role: model.Norm, layer: i, part: "post_attention_layernorm"}, m.hidden)
	rope, err := ropes.of(c.LayerType(i))
	if err != nil {
		return nil, err
	}
	if m.fam.latent {
		l.attn = newLatent(b, c, m.fam, i, rope)
	} else {
		l.attn = newGrouped(b, c, m.fam, i, rope)
	}
	if c.HasExperts(i) && m.fam.router != noRouter {
		if l.moe, err = newExperts(b, c, m.fam, i); err != nil {
			return nil, err
		}
		return l, b.err
	}
	l.dense = newMLP(b, c, m.fam, model.DenseMLP, i, -1)
	return l, b.err
}

// eps of the norms in front of and behind the blocks.
func eps(c *model.Config) float32 {
	if c.RMSNormEps == 0 {
		return 1e-6
	}
	return float32(c.RMSNormEps)
}

// key names a tensor by what it is.
type key struct {
	role   model.Role
	layer  int
	expert int // of a routed expert, from 1: the zero value is none
	part   string
	param  string // of biases of routers, which have two kinds; else ""
}

// builder finds the tensors of a model and remembers the first that it lacks.
type builder struct {
	c       *hf.Checkpoint
	tensors map[key]*plan.Tensor
	scales  map[string]*plan.Tensor
	inputs  map[string]*plan.Tensor // static scales of inputs, by module
	all     []plan.Tensor
	used    map[string]bool // names of tensors that were asked for
	static  []*matrix       // weights that have one
	block   []int64
	err     error
}

func newBuilder(c *hf.Checkpoint) (*builder, error) {
	arch := c.Arch()
	if lack := arch.Missing(c.Has); lack.Count > 0 {
		return nil, invalid.Errorf("%q: tensors of the config are missing: %s", c.Path, lack)
	}
	p := plan.New(c)
	scales, err := plan.PairScales(p)
	if err != nil {
		return nil, err
	}
	b := &builder{c: c, tensors: make(map[key]*plan.Tensor, len(p.Tensors)), scales: make(map[string]*plan.Tensor, len(scales)), inputs: map[string]*plan.Tensor{}, all: p.Tensors, used: map[string]bool{}, block: c.Config.Quant.Tile()}
	for weight, i := range scales {
		b.scales[weight] = &p.Tensors[i]
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if plan.IsInputScale(t.Meta.Param) {
			b.inputs[t.Meta.Module] = t
		}
		if want, ok := arch.ExpectedShape(t.Meta); ok && !equalShape(want, t.Shape) {
			return nil, invalid.Errorf("tensor %q: shape %v, but the config says %v", t.Name, t.Shape, want)
		}
		k := key{role: t.Meta.Role, layer: t.Meta.Layer, expert: t.Meta.Expert + 1, part: t.Meta.Part}
		if t.Meta.Role == model.RouterBias && t.Meta.Param == "bias" {
			k.param = "bias"
		}
		b.tensors[k] = t
	}
	return b, nil
}

func equalShape(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func (b *builder) has(k key) bool { return b.tensors[k] != nil }

// find returns the tensor of k, or nil having noted that there is none.
func (b *builder) find(k key) *plan.Tensor {
	t := b.tensors[k]
	if t == nil && b.err == nil {
		what := k.role.String()
		if k.part != "" {
			what += " " + k.part
		}
		if k.expert > 0 {
			b.err = invalid.Errorf("%q: layer %d has no tensor for %s of expert %d", b.c.Path, k.layer, what, k.expert-1)
		} else {
			b.err = invalid.Errorf("%q: layer %d has no tensor for %s", b.c.Path, k.layer, what)
		}
	}
	if t != nil {
		b.used[t.Name] = true
	}
	return t
}

// matrix returns the weight of k; after an error an empty one.
func (b *builder) matrix(k key) *matrix {
	t := b.find(k)
	if t == nil {
		return &matrix{}
	}
	m, err := newMatrix(t, b.scales[t.Name], b.block)
	if err != nil {
		if b.err == nil {
			b.err = err
		}
		return &matrix{}
	}
	if s := b.inputs[m.module]; s != nil && m.quantized() && s.Source.Bytes() == s.DType.Bits()/8 {
		m.inputScale = &s.Source
		b.static = append(b.static, m)
	}
	return m
}

// vector returns the vector of k with n elements.
func (b *builder) vector(k key, n int) *vector {
	t := b.find(k)
	if t == nil {
		return &vector{}
	}
	if _, ok := plan.Elem(t.DType); !ok || len(t.Shape) != 1 || t.Shape[0] != int64(n) {
		if b.err == nil {
			b.err = invalid.Errorf("tensor %q: %s of shape %v instead of %d numbers", t.Name, t.DType, t.Shape, n)
		}
		return &vector{}
	}
	return &vector{view: t.Source, n: n}
}

// optional returns the vector of k, nil when there is none.
func (b *builder) optional(k key, n int) *vector {
	if !b.has(k) {
		return nil
	}
	return b.vector(k, n)
}

// bias returns the bias of a part of attention, nil where the model has none.
func (b *builder) bias(f family, layer int, part string, n int) *vector {
	if !f.biased(b.c.Config, part) {
		return nil
	}
	return b.vector(key{role: model.Bias, layer: layer, part: part}, n)
}

// slice makes matrix or vector of expert e of a tensor that holds all of them.
func slice(v plan.View, e int, shape ...int64) plan.View {
	n := v.Bytes() / v.Shape[0]
	v.Offset += int64(e) * n
	v.Shape = shape
	return v
}

// mlp is a gated feed-forward block: down(act(gate(x))·up(x)).
type mlp struct {
	gate, up, down *matrix
	// gateUp holds gate and up in the alternating columns of gpt_oss; gate and up are
	// nil then.
	gateUp                 *matrix
	gateUpBias             *vector
	gateBias, upBias       *vector // or nil, as downBias
	downBias               *vector
	act                    activation
	clampAlpha, clampLimit float32
	inner                  int
}

func newMLP(b *builder, c *model.Config, fam family, role model.Role, layer, expert int) *mlp {
	k := key{role: role, layer: layer, expert: expert + 1}
	part := func(p string) *matrix { k.part = p; return b.matrix(k) }
	f := &mlp{gate: part("gate"), up: part("up"), down: part("down")}
	f.inner, f.act = f.gate.out, activations[c.HiddenAct]
	if fam.mlpBias && c.MLPBias && role != model.RoutedExpert {
		bias := func(p string, n int) *vector {
			return b.vector(key{role: model.Bias, layer: layer, part: p}, n)
		}
		f.gateBias, f.upBias, f.downBias = bias("gate", f.inner), bias("up", f.inner), bias("down", c.HiddenSize)
	}
	return f
}

// matrices lists the weights of f.
func (f *mlp) matrices() []*matrix {
	if f.gateUp != nil {
		return []*matrix{f.gateUp, f.down}
	}
	return []*matrix{f.gate, f.up, f.down}
}

func (f *mlp) vectors() []*vector {
	return []*vector{f.gateUpBias, f.gateBias, f.upBias, f.downBias}
}

// softmaxScale is 1/√d.
func softmaxScale(d int) float32 { return float32(1 / math.Sqrt(float64(d))) }
