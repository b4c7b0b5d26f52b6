package runner

import (
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
	"quern/runner/routing"
)

// routers is how the routers of a family turn logits into experts and their weights: a
// rule, with what the config says. A family whose routers differ is a row here.
type routers struct {
	scoring string   // what scoring_func says of it
	methods []string // what topk_method says of it

	rule routing.Rule // of Normalize only if the config has no say
	// jitter is set when router_jitter_noise says which experts are near the best
	// (routing.SparseMixer instead of the rule).
	jitter    bool
	corrected bool // e_score_correction_bias is added for the choice, not to the weights
	grouped   bool // n_group and routed_scaling_factor have a meaning
	raw       bool // norm_topk_prob has none
}

var (
	// softmaxTopK chooses the largest probabilities of a softmax over all experts.
	softmaxTopK = &routers{scoring: "softmax", methods: []string{"greedy"}, rule: routing.Rule{Score: routing.Softmax}}
	// softmaxBiasTopK chooses by softmax plus a correction bias, and never renormalizes
	// (LongCat).
	softmaxBiasTopK = &routers{scoring: "softmax", rule: routing.Rule{Score: routing.Softmax}, corrected: true, grouped: true, raw: true}
	// softmaxGroupMax does so within the groups whose largest probability is largest
	// (DeepSeek-V2); without groups it is softmaxTopK that never renormalizes.
	softmaxGroupMax = &routers{scoring: "softmax", methods: []string{"greedy", "group_limited_greedy"}, rule: routing.Rule{Score: routing.Softmax}, grouped: true, raw: true}
	// softmaxBestTwo does so within the groups whose two best have the largest sum
	// (Mistral 4).
	softmaxBestTwo = &routers{scoring: "softmax", rule: routing.Rule{Score: routing.Softmax, BestTwo: true, Tiny: 1e-20}, grouped: true}
	// sigmoidBiasTopK chooses by sigmoid plus a correction bias, within the groups
	// whose two best have the largest sum; the weights have no bias (DeepSeek-V3).
	sigmoidBiasTopK = &routers{scoring: "sigmoid", methods: []string{"noaux_tc"}, rule: routing.Rule{Score: routing.Sigmoid, BestTwo: true, Tiny: 1e-20}, corrected: true, grouped: true}
	// sigmoidBiasShare is sigmoidBiasTopK whose weights are always divided by their sum
	// (MiniMax-M3).
	sigmoidBiasShare = &routers{scoring: "sigmoid", methods: []string{"noaux_tc"}, rule: routing.Rule{Score: routing.Sigmoid, Normalize: true}, corrected: true, grouped: true}
	// rootSoftplusTopK chooses by the root of softplus plus a correction bias
	// (DeepSeek-V4).
	rootSoftplusTopK = &routers{scoring: "sqrtsoftplus", methods: []string{"noaux_tc"}, rule: routing.Rule{Score: routing.SqrtSoftplus, Normalize: true, Tiny: 1e-20}, corrected: true, grouped: true}
	// topKSoftmax chooses the largest logits and takes the softmax over them (gpt_oss).
	topKSoftmax = &routers{methods: []string{"greedy"}, rule: routing.Rule{Chosen: routing.Softmax}, raw: true}
	// topKSigmoid chooses the largest logits and takes the sigmoid of each (Llama 4).
	topKSigmoid = &routers{rule: routing.Rule{Chosen: routing.Sigmoid}, raw: true}
	// softmaxBiasSum is softmaxBiasTopK that always divides by the sum, without groups
	// (ERNIE 4.5).
	softmaxBiasSum = &routers{scoring: "softmax", rule: routing.Rule{Score: routing.Softmax, Normalize: true}, corrected: true}
	// sigmoidBiasSum is sigmoidBiasTopK that always divides by the sum, without groups
	// (Hunyuan 3, Afmoe); sigmoidBiasPure adds nothing to the sum (Laguna).
	sigmoidBiasSum  = &routers{scoring: "sigmoid", rule: routing.Rule{Score: routing.Sigmoid, Normalize: true, Tiny: 1e-20}, corrected: true}
	sigmoidBiasPure = &routers{scoring: "sigmoid", rule: routing.Rule{Score: routing.Sigmoid, Normalize: true}, corrected: true}
	// sparseMixer chooses one after the other (PhiMoE).
	sparseMixer = &routers{jitter: true, raw: true}
)

// router chooses experts.
type router struct {
	*routers
	routing.Rule
	weight  *matrix
	bias    *vector // of the logits, or nil
	correct *vector // e_score_correction_bias, or nil
	table   *vector // of experts by token, or nil

	experts, topK int
	near          float32 // jitter
	cap           float32 // of logits; 0: none
	// own is a norm of the hidden states, which the router reads instead of what experts
	// read, times shrink; scale multiplies the weights of each expert (Gemma 4).
	own    *norm
	shrink float32
	scale  *vector
}

func newRouter(s *site) (*router, error) {
	c, f := s.c, s.fam
	r := &router{
		routers: f.router, Rule: f.router.rule, weight: s.weight(model.Router, ""),
		bias:    s.optional(key{role: model.RouterBias, layer: s.layer, param: "bias"}, c.NumExperts+c.ZeroExperts),
		experts: c.NumExperts + c.ZeroExperts, topK: c.NumExpertsPerTok,
	}
	r.Groups, r.TopGroups, r.Factor = c.NGroup, c.TopKGroup, float32(c.RoutedScalingFactor)
	r.Normalize = r.Normalize || c.NormTopKProb && !r.raw
	if f.normalized {
		r.Normalize, r.Factor = true, 1
	}
	if k := (key{role: model.RouterBias, layer: s.layer}); r.corrected {
		if s.builder.has(k) {
			r.correct = s.flat(k, r.experts) // [1, experts] in ERNIE
		} else { // DeepSeek-V4's name for it
			r.correct, r.bias = r.bias, nil
		}
	}
	if s.has(model.Router, "tid2eid") {
		r.table, r.correct = s.byToken(), nil
	}
	if c.TopKMethod == "greedy" && r.raw {
		r.Groups = 1
	}
	r.near = float32(s.number("router_jitter_noise", 0.01))
	if f.routes != nil {
		f.routes(s, r)
	}
	if r.topK <= 0 || r.topK > r.experts {
		return nil, invalid.Errorf("config.json: %d of %d experts a token", r.topK, r.experts)
	}
	if r.Groups > 1 && (r.experts%r.Groups != 0 || r.TopGroups <= 0 || r.TopGroups > r.Groups || r.TopGroups*(r.experts/r.Groups) < r.topK) {
		return nil, invalid.Errorf("config.json: %d of %d groups of %d experts, of which a token chooses %d", r.TopGroups, r.Groups, r.experts, r.topK)
	}
	return r, nil
}

func (r *router) needs(p *part) {
	p.matrices(r.weight)
	p.vectors(r.bias, r.correct, r.scale, r.table)
	r.own.needs(p)
}

// route chooses experts for the rows of a batch of normalized hidden states.
func (r *router) route(p *pass, c choices, in []float32, b *batch) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	logits := p.arena.floats(b.n * r.experts)
	if r.own != nil {
		in = p.arena.floats(b.n * r.weight.in)
		p.normalize(in, b.raw, b.n, r.weight.in, r.own)
		vec.Scale(in, r.shrink)
	}
	p.linear(logits, in, b.n, r.weight, r.bias)
	if r.table != nil {
		r.look(p, c, logits, b)
		r.routed(p, c, b)
		return
	}
	scratch := p.arena.floats(p.workers * 2 * r.experts)
	var correct, scale []float32
	if r.correct != nil {
		correct = p.weights.vector(r.correct)
	}
	if r.scale != nil {
		scale = p.weights.vector(r.scale)
	}
	p.each(b.n, r.experts*(r.topK+8), func(first, n, worker int) {
		for i := first; i < first+n; i++ {
			ids, weights := c.ids[i*r.topK:][:r.topK], c.weights[i*r.topK:][:r.topK]
			r.choose(ids, weights, logits[i*r.experts:][:r.experts], correct, scratch[worker*2*r.experts:][:2*r.experts])
			if scale != nil {
				for k, e := range ids {
					weights[k] *= scale[e]
				}
			}
		}
	})
	r.routed(p, c, b)
}

// routed tells the hook what was chosen.
func (r *router) routed(p *pass, c choices, b *batch) {
	if p.hooks != nil && p.hooks.Route != nil {
		p.hooks.Route(b.layer, b.first, c.ids, c.weights, r.topK)
	}
}

// choose turns the logits of one token into its experts, best first, and their weights.
// scratch has room for two numbers an expert; logits are overwritten.
func (r *router) choose(ids []int32, weights, logits, correct, scratch []float32) {
	if r.cap > 0 {
		routing.Cap(logits, r.cap)
	}
	if r.jitter {
		routing.SparseMixer(ids, weights, logits, r.near, scratch)
		return
	}
	r.Choose(ids, weights, logits, correct, scratch)
}
