package runner

import (
	"maps"
	"slices"
	"strings"

	"quern/formats/model"
	"quern/internal/invalid"
)

// Mistral 4: latent attention whose queries grow with their position; in Large 4 by head,
// over the keys that an indexer chooses. (Sources: modeling files of mistral4 and
// mistral_large4 in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"mistral4": {
			latent: true, mixers: mixers{"full_attention": newLatent}, biases: lora, biasField: "attention_bias",
			router: softmaxBestTwo, judges: map[string]func(v value) bool{"mlp_bias": value.off},
		},
		"mistral_large4": {
			latent: true, ownEps: true, mixers: mixers{"indexed_attention": newLarge4, "full_attention": newLarge4},
			arrange: large4Layer, router: softmaxBestTwo,
			computes: join(indexerFields, set("final_logit_softcapping indexer_types no_rope_layers kv_source_layers")),
			judges:   map[string]func(v value) bool{"attention_bias": value.off, "norm_topk_prob": value.on},
		},
	})
}

// newLarge4 is latent attention without a query latent. On layers without positions all of a
// head's key comes from the latent; some layers have the latents of an earlier one.
func newLarge4(s *site) (mixer, error) {
	c := s.c
	weight := func(part string) *matrix { return s.weight(model.Attention, part) }
	a := &latent{
		q: weight("q"), kvB: weight("kv_b"), o: weight("o"), heads: c.NumHeads, rank: c.KVLoraRank,
		nope: c.QKHeadDim(), valueSize: c.VHeadDim, interleaved: true, scale: s.scale(c.QKHeadDim()),
		grows: s.scaling("softmax", c.NumHeads, c.QKHeadDim()),
	}
	r, err := s.rope()
	if err != nil {
		return nil, err
	}
	if a.scale *= r.scale; c.RotatesAt(s.layer) {
		a.rope, a.nope, a.rotated = r, c.QKNopeHeadDim, c.QKRopeHeadDim
	}
	a.kvB.wide = true
	a.module = a.o.module[:max(0, strings.LastIndexByte(a.o.module, '.'))]
	own := c.HasKV(s.layer)
	if !own {
		from := c.KVSourceLayers[s.layer]
		if from >= s.layer || !c.HasKV(from) || c.RotatesAt(from) != c.RotatesAt(s.layer) {
			return nil, invalid.Errorf("config.json: \"kv_source_layers\": layer %d cannot have the keys and values of layer %d", s.layer, from)
		}
		a.lent = &lent{from: from, rank: a.rank, width: a.rank + a.rotated}
	} else if rest := c.KVSourceLayers; s.layer < len(rest) && slices.Contains(rest[s.layer+1:], s.layer) {
		a.lent = &lent{from: s.layer, own: true, rank: a.rank, width: a.rank + a.rotated}
	}
	if own {
		a.kvA, a.kvNorm = weight("kv_a"), s.norm("kv_a_norm", c.KVLoraRank, eps(c))
	}
	if a.keys, err = s.selection(a.rope, true, false, indexerEps); err != nil {
		return nil, err
	}
	if x, ok := a.keys.(*indexer); ok {
		x.input = s.layerNorm("indexer.q_input_norm", c.HiddenSize, indexerEps)
		x.grows = s.scaling("indexer.softmax", c.IndexHeads, c.IndexHeadDim)
	}
	return a, s.err
}

// large4Layer is sequential with other names of norms.
func large4Layer(s *site) ([]*block, error) {
	mix, err := s.mixer()
	if err != nil {
		return nil, err
	}
	feed, err := s.feedForward()
	return []*block{
		{norm: s.norm("attention_norm", s.c.HiddenSize, eps(s.c)), mixer: mix, rule: s.add()},
		{norm: s.norm("ffn_norm", s.c.HiddenSize, eps(s.c)), mixer: feed, rule: s.add()},
	}, err
}
