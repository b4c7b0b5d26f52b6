package runner

import (
	"quern/formats/model"
	"quern/internal/invalid"
)

// layer is a decoder layer: blocks, one after the other.
type layer struct {
	index  int
	blocks []*block
}

// block is a mixer with what lies around it: x += mixer(norm(x)) in the simplest case.
type block struct {
	norm  *norm // of what the mixer reads; nil: as it is
	mixer mixer
	after *norm // of what it gives; nil: none

	// with names what waits on the shelf and is added to the result. aside is the name
	// under which the result itself waits there, for a later block of the layer, instead
	// of joining the hidden states now. So blocks run beside each other: from one norm
	// (Cohere), with a norm of their sum (Gemma-4), or past others (LongCat).
	with, aside string
	// joined is the norm of the result with what was added, before it joins; nil: none.
	joined *norm
	rule   residual

	first, behind *part // weights up to the mixer, and of what follows it
}

// again reports whether a later block has the mixer of block j, too.
func (l *layer) again(j int) bool {
	for _, b := range l.blocks[j+1:] {
		if b.mixer == l.blocks[j].mixer {
			return true
		}
	}
	return false
}

// site is where a mixer is laid out: its layer, with what finds the weights.
type site struct {
	*builder
	c     *model.Config
	fam   *family
	layer int
	piece int // of a layer that has attention and dense blocks twice
	ropes *ropes
	*factors
}

func (s *site) has(role model.Role, part string) bool {
	return s.builder.has(key{role: role, layer: s.layer, part: part, piece: s.piece})
}

// weight is a matrix of the layer by its role and part.
func (s *site) weight(role model.Role, part string) *matrix {
	return s.matrix(key{role: role, layer: s.layer, part: part, piece: s.piece})
}

// bias is the bias of a part of attention, nil where the model has none.
func (s *site) bias(part string, n int) *vector {
	if !s.fam.biased(s.c, part) {
		return nil
	}
	return s.vector(key{role: model.Bias, layer: s.layer, part: part, piece: s.piece}, n)
}

// number is a field of the config, or what it means not to be there.
func (s *site) number(key string, absent float64) float64 {
	for k, v := range s.c.Fields() {
		if n, ok := v.Float64(); ok && k == key {
			return n
		}
	}
	return absent
}

// on reports whether a field of the config is true.
func (s *site) on(key string) bool {
	for k, v := range s.c.Fields() {
		if on, _ := v.Bool(); on && k == key {
			return true
		}
	}
	return false
}

// kind is the type of the layer.
func (s *site) kind() string { return s.fam.typeOf(s.c, s.layer) }

// rope is that of the layer's type and heads.
func (s *site) rope() (*rope, error) {
	if s.fam.latent {
		return s.ropes.of(s.kind(), s.c.QKRopeHeadDim)
	}
	return s.ropes.of(s.kind(), s.c.HeadDimOf(s.layer))
}

// lay lays the layer out as its family arranges it.
func (s *site) lay() (*layer, error) {
	l := &layer{index: s.layer}
	arrange := s.fam.arrange
	if arrange == nil {
		arrange = sequential
	}
	var err error
	if l.blocks, err = arrange(s); err != nil {
		return nil, err
	}
	for _, b := range l.blocks {
		b.first, b.behind = &part{}, &part{}
		b.norm.needs(b.first)
		b.mixer.needs(b.first)
		if x, ok := b.mixer.(*experts); ok {
			x.behind(b.behind)
		}
		b.rule.needs(b.first, b.behind)
		b.after.needs(b.behind)
		b.joined.needs(b.behind)
	}
	return l, s.err
}

// arrangement makes the blocks of a layer.
type arrangement func(s *site) ([]*block, error)

// sequential is attention, then a feed-forward block or experts, each behind a norm.
func sequential(s *site) ([]*block, error) {
	mix, err := s.mixer()
	if err != nil {
		return nil, err
	}
	feed, err := s.feedForward()
	return []*block{
		{norm: s.norm("input_layernorm", s.c.HiddenSize, eps(s.c)), mixer: mix, rule: s.add()},
		{norm: s.norm("post_attention_layernorm", s.c.HiddenSize, eps(s.c)), mixer: feed, rule: s.add()},
	}, err
}

// mixer is the text mixer of the layer.
func (s *site) mixer() (mixer, error) {
	lay := s.fam.mixers.of(s.kind())
	if lay == nil {
		return nil, invalid.Errorf("config.json: layer %d is of type %q, which the runner does not compute for %s", s.layer, s.kind(), s.builder.c.Arch().Name())
	}
	return lay(s)
}

// feedForward is what the layer has besides: experts, or one block for all tokens.
func (s *site) feedForward() (mixer, error) {
	if s.c.HasExperts(s.layer) && s.fam.router != nil {
		return newExperts(s)
	}
	return newDense(s)
}

// routed are the experts of a layer, nil when there are none.
func (l *layer) routed() *experts {
	for _, b := range l.blocks {
		if x, ok := b.mixer.(*experts); ok {
			return x
		}
	}
	return nil
}

// read is what a walk through the layer reads of matrices when every expert is chosen.
func (l *layer) read() int64 {
	n := int64(0)
	for _, b := range l.blocks {
		n += b.first.read() + b.behind.read()
	}
	if x := l.routed(); x != nil {
		for _, p := range x.parts {
			n += p.read()
		}
	}
	return n
}

// add is the usual residual rule.
func (s *site) add() residual { return sum{s.residual} }

// eps of the norms in front of and behind the blocks.
func eps(c *model.Config) float32 {
	if c.RMSNormEps == 0 {
		return 1e-6
	}
	return float32(c.RMSNormEps)
}
