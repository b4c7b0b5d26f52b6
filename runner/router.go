package runner

import (
	"math"
	"slices"

	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/vec"
)

// routing is how scores become a choice of experts and their weights. A model whose
// router differs is a row here.
type routing struct {
	scoring string   // what scoring_func says of it
	methods []string // what topk_method says of it

	score     func(dst, x []float32) // scores of logits; nil: the logits
	corrected bool                   // e_score_correction_bias is added for the choice, not to the weights
	grouped   bool                   // n_group and routed_scaling_factor have a meaning
	pairs     bool                   // a group is worth its two best, not its best
	raw       bool                   // weights are never divided by their sum
	atLeast   float32                // is added to the sum that they are divided by
	weigh     func(x []float32)      // makes weights of the chosen scores instead
}

var (
	// softmaxTopK chooses the largest probabilities of a softmax over all experts.
	softmaxTopK = &routing{scoring: "softmax", methods: []string{"greedy"}, score: softmaxOf}
	// softmaxGroupMax does so within the groups whose largest probability is largest
	// (DeepSeek-V2); without groups it is softmaxTopK that never renormalizes.
	softmaxGroupMax = &routing{scoring: "softmax", methods: []string{"greedy", "group_limited_greedy"}, score: softmaxOf, grouped: true, raw: true}
	// sigmoidBiasTopK chooses by sigmoid plus a correction bias, within the groups
	// whose two best have the largest sum; the weights have no bias (DeepSeek-V3).
	sigmoidBiasTopK = &routing{scoring: "sigmoid", methods: []string{"noaux_tc"}, score: vec.Sigmoid, corrected: true, grouped: true, pairs: true, atLeast: 1e-20}
	// topKSoftmax chooses the largest logits and takes the softmax over them (gpt_oss).
	topKSoftmax = &routing{methods: []string{"greedy"}, weigh: vec.Softmax}
)

func softmaxOf(dst, x []float32) {
	copy(dst, x)
	vec.Softmax(dst)
}

// router chooses experts.
type router struct {
	*routing
	weight  *matrix
	bias    *vector // of the logits, or nil
	correct *vector // e_score_correction_bias, or nil

	experts, topK     int
	groups, topGroups int // groups ≤ 1: none
	normalize         bool
	factor            float32
}

func newRouter(s *site) (*router, error) {
	c, f := s.c, s.fam
	r := &router{
		routing: f.router, weight: s.weight(model.Router, ""),
		bias:    s.optional(key{role: model.RouterBias, layer: s.layer, param: "bias"}, c.NumExperts),
		experts: c.NumExperts, topK: c.NumExpertsPerTok, groups: c.NGroup, topGroups: c.TopKGroup,
		normalize: c.NormTopKProb && !f.router.raw, factor: float32(c.RoutedScalingFactor),
	}
	if r.factor == 0 {
		r.factor = 1
	}
	if f.normalized {
		r.normalize, r.factor = true, 1
	}
	if r.corrected {
		r.correct = s.optional(key{role: model.RouterBias, layer: s.layer}, c.NumExperts)
	}
	if c.TopKMethod == "greedy" && r.raw {
		r.groups = 1
	}
	if r.topK <= 0 || r.topK > r.experts {
		return nil, invalid.Errorf("config.json: %d of %d experts a token", r.topK, r.experts)
	}
	if r.groups > 1 && (r.experts%r.groups != 0 || r.topGroups <= 0 || r.topGroups > r.groups || r.topGroups*(r.experts/r.groups) < r.topK) {
		return nil, invalid.Errorf("config.json: %d of %d groups of %d experts, of which a token chooses %d", r.topGroups, r.groups, r.experts, r.topK)
	}
	return r, nil
}

func (r *router) needs(p *part) {
	p.matrices(r.weight)
	p.vectors(r.bias, r.correct)
}

// route chooses experts for the rows of a batch of normalized hidden states.
func (r *router) route(p *pass, c choices, in []float32, b *batch) {
	mark := p.arena.mark()
	defer p.arena.release(mark)
	logits := p.arena.floats(b.n * r.experts)
	p.linear(logits, in, b.n, r.weight, r.bias)
	scratch := p.arena.floats(p.workers * 3 * r.experts)
	var correct []float32
	if r.correct != nil {
		correct = p.weights.vector(r.correct)
	}
	p.each(b.n, r.experts*(r.topK+8), func(first, n, worker int) {
		for i := first; i < first+n; i++ {
			r.choose(c.ids[i*r.topK:][:r.topK], c.weights[i*r.topK:][:r.topK], logits[i*r.experts:][:r.experts], correct, scratch[worker*3*r.experts:][:3*r.experts])
		}
	})
	if p.hooks != nil && p.hooks.Route != nil {
		p.hooks.Route(b.layer, b.first, c.ids, c.weights, r.topK)
	}
}

// choose turns the logits of one token into its experts, best first and ties by
// index, and their weights. scratch has room for three numbers an expert; logits are
// overwritten.
func (r *router) choose(ids []int32, weights, logits, correct, scratch []float32) {
	score, choice := logits, scratch[:r.experts]
	if r.score != nil {
		r.score(score, score)
	}
	copy(choice, score)
	if correct != nil {
		vec.Add(choice, correct)
	}
	if r.groups > 1 {
		r.maskGroups(choice, scratch[r.experts:])
	}
	for k := range ids {
		// A NaN is never the largest, so that a choice exists whatever the input.
		best := -1
		for e, v := range choice {
			if v > float32(math.Inf(-1)) && (best < 0 || v > choice[best]) && !slices.Contains(ids[:k], int32(e)) {
				best = e
			}
		}
		if best < 0 {
			for best = 0; slices.Contains(ids[:k], int32(best)); best++ {
			}
		}
		ids[k], weights[k] = int32(best), score[best]
	}
	if r.weigh != nil {
		r.weigh(weights)
		return
	}
	if r.normalize {
		sum := float32(0)
		for _, w := range weights {
			sum += w
		}
		sum += r.atLeast
		for i := range weights {
			weights[i] /= sum
		}
	}
	if r.factor != 1 {
		vec.Scale(weights, r.factor)
	}
}

// maskGroups sets the choices of all but the best groups to −∞. (Masking with 0, as
// older code did, differs where choices are negative: transformers PR 45441.)
func (r *router) maskGroups(choice, scratch []float32) {
	size := r.experts / r.groups
	value := scratch[:r.groups]
	for g := range value {
		first, second := float32(math.Inf(-1)), float32(math.Inf(-1))
		for _, v := range choice[g*size:][:size] {
			switch {
			case v > first:
				first, second = v, first
			case v > second:
				second = v
			}
		}
		value[g] = first
		if r.pairs && size > 1 {
			value[g] += second
		}
	}
	kept := scratch[r.groups:][:r.groups]
	clear(kept)
	for range r.topGroups {
		best := -1
		for g, v := range value {
			if kept[g] == 0 && (best < 0 || v > value[best]) {
				best = g
			}
		}
		kept[best] = 1
	}
	for g := range value {
		if kept[g] == 0 {
			for i := range size {
				choice[g*size+i] = float32(math.Inf(-1))
			}
		}
	}
}
