package runner

import (
	"maps"

	"quern/formats/model"
)

// DeepSeek's sparse attention, and GLM's. (Sources: modeling files of deepseek_v32,
// glm_moe_dsa and deepseek_v4 in transformers 5.24.0.)
func init() {
	maps.Copy(families, map[string]family{
		"deepseek_v32": {
			latent: true, mixers: indexedAttention(false), biases: lora, biasField: "attention_bias", mlpBias: true,
			router: sigmoidBiasTopK, computes: indexerFields, judges: indexerRope(false),
		},
		"glm_moe_dsa": {
			latent: true, mixers: indexedAttention(true), biases: lora, biasField: "attention_bias", mlpBias: true,
			router: sigmoidBiasTopK, computes: indexerFields, judges: indexerRope(true),
		},
		"deepseek_v4": {
			latent: true, mixers: mixers{"": newCompressed}, router: rootSoftplusTopK, limited: true,
			arrange: compressedLayer, frame: newHeaded, mtp: streamsMTP, computes: v4Fields, judges: v4Judges,
		},
	})
}

// indexerFields are read by formats/model. (That drafts beyond the first take the choice
// of the first, index_share_for_mtp_iteration, is a matter of speed.)
var indexerFields = set(`
	index_topk index_n_heads index_head_dim index_topk_pattern index_topk_freq index_skip_topk_offset index_share_for_mtp_iteration
	moe_router_dtype
`)

// indexerRope judges what a config says of an indexer that rotates in pairs, or in halves.
func indexerRope(pairs bool) map[string]func(v value) bool {
	return map[string]func(v value) bool{
		"indexer_rope_interleave": func(v value) bool { return v.on() == pairs },
		"indexer_types": func(v value) bool {
			for _, t := range v.cfg.IndexerTypes {
				if t != "full" && t != "shared" {
					return false
				}
			}
			return true
		},
		"index_topk_pattern": func(v value) bool {
			for _, t := range v.cfg.IndexPattern {
				if t != 'F' && t != 'S' {
					return false
				}
			}
			return len(v.cfg.IndexPattern) >= v.cfg.NumHiddenLayers
		},
	}
}

// indexedAttention is latent attention over keys that an indexer chooses, which rotates in
// pairs, or in halves.
func indexedAttention(pairs bool) mixers {
	lay := func(s *site) (mixer, error) {
		m, err := newLatent(s)
		if err != nil {
			return nil, err
		}
		a := m.(*latent)
		a.keys, err = s.selection(a.rope, pairs, false, indexerEps)
		return a, err
	}
	return indexedLayers(lay)
}

// indexedLayers are the types of layers with an indexer: transformers' word for them was
// another one, and releases have none.
func indexedLayers(lay func(s *site) (mixer, error)) mixers {
	return mixers{"indexed_attention": lay, "deepseek_sparse_attention": lay, "full_attention": lay}
}

// indexerEps is the epsilon of the norm of an indexer's keys.
const indexerEps = 1e-6

// layerNorm is a norm with mean and bias, whatever the norms of the family are.
func (s *site) layerNorm(part string, n int, eps float32) *norm {
	at := func(role model.Role) *vector { return s.vector(key{role: role, layer: s.layer, part: part}, n) }
	return &norm{kind: layerNorm, weight: at(model.Norm), bias: at(model.Bias), eps: eps}
}

// v4Fields are read by formats/model.
var v4Fields = join(indexerFields, set(`
	compress_ratios compress_rates compress_rate_csa compress_rate_hca compress_rope_theta num_hash_layers layer_types mlp_layer_types
	hc_mult hc_sinkhorn_iters hc_eps o_groups o_lora_rank swiglu_limit partial_rotary_factor expert_dtype
`))

var v4Judges = map[string]func(v value) bool{
	"n_group":        func(v value) bool { return v.off() || v.one() },
	"topk_group":     func(v value) bool { return v.off() || v.one() },
	"norm_topk_prob": value.on,
	"hidden_act":     func(v value) bool { return activations[v.cfg.HiddenAct] == nil }, // the clamped one is SiLU
}

// compressedLayer is attention and experts, between streams.
func compressedLayer(s *site) ([]*block, error) {
	blocks := make([]*block, 2)
	for i, b := range []struct {
		name string
		lay  func() (mixer, error)
	}{{"attn", s.mixer}, {"ffn", s.feedForward}} {
		rule, err := s.connection(b.name)
		if err != nil {
			return nil, err
		}
		mix, err := b.lay()
		if err != nil {
			return nil, err
		}
		blocks[i] = &block{norm: s.norm(b.name+"_norm", s.c.HiddenSize, eps(s.c)), mixer: mix, rule: rule}
	}
	return blocks, s.err
}

// streamsMTP lays out a layer that reads all streams of the last one, and has a head for its
// own. (Source: multi-token prediction of deepseek_v4 in vLLM 0.33.0.)
func streamsMTP(s *site) (*mtp, error) {
	if !s.has(model.MTPProjection, "e") {
		return nil, nil
	}
	l, err := s.lay()
	if err != nil {
		return nil, err
	}
	t := s.around(l)
	t.joint = &split{
		e: s.weight(model.MTPProjection, "e"), h: s.weight(model.MTPProjection, "h"),
		enorm: s.width("enorm"), hnorm: s.width("hnorm"), streams: s.c.HCMult,
	}
	t.frame, t.raw = newHeaded(s), true
	return t, s.err
}

// noMTP is for models whose multi-token prediction is not computed.
func noMTP(*site) (*mtp, error) { return nil, nil }
