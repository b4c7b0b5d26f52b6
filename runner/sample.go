package runner

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"quern/internal/vec"
)

// sampler chooses tokens from logits.
type sampler struct {
	temperature float32 // 0: the largest logit, ties to the lowest id
	topP        float64 // probability that is left to chance; 0 or 1: all of it
	order       []int
	random      *rand.Rand
}

func newSampler(temperature, topP float64, seed uint64) *sampler {
	return &sampler{temperature: float32(temperature), topP: topP, random: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
}

// greedy reports whether nothing is left to chance.
func (s *sampler) greedy() bool { return s.temperature == 0 }

// probabilities turns logits into those that the sampler draws from, in place.
func (s *sampler) probabilities(logits []float32) []float32 {
	vec.Scale(logits, 1/s.temperature)
	vec.Softmax(logits)
	if s.topP > 0 && s.topP < 1 {
		s.nucleus(logits)
	}
	return logits
}

// nucleus keeps the least set of the likeliest tokens that has the probability topP
// together, ties by the lower id, and makes their sum 1 (Holtzman et al., arXiv
// 1904.09751). Drafts are drawn and judged by what it leaves, so text that is drafted
// has the same distribution.
func (s *sampler) nucleus(p []float32) {
	s.order = slices.Grow(s.order[:0], len(p))[:len(p)]
	for i := range s.order {
		s.order[i] = i
	}
	slices.SortFunc(s.order, func(a, b int) int { return cmp.Or(cmp.Compare(p[b], p[a]), cmp.Compare(a, b)) })
	sum, n := 0.0, 0
	for n < len(p) && (n == 0 || sum < s.topP) {
		sum += float64(p[s.order[n]])
		n++
	}
	for _, i := range s.order[n:] {
		p[i] = 0
	}
	if sum > 0 {
		vec.Scale(p, float32(1/sum))
	}
}

// pick chooses a token; logits are overwritten unless the sampler is greedy.
func (s *sampler) pick(logits []float32) int {
	if s.greedy() {
		i, _ := vec.ArgMax(logits)
		return i
	}
	return s.draw(s.probabilities(logits), 1)
}

// draw picks by weights that add up to about total.
func (s *sampler) draw(weights []float32, total float64) int {
	at := s.random.Float64() * total
	last := 0
	for i, w := range weights {
		if w <= 0 {
			continue
		}
		last = i
		if at -= float64(w); at < 0 {
			return i
		}
	}
	return last // what rounding left over
}

// judge decides about a drafted token by rejection sampling (Leviathan et al., arXiv
// 2211.17192): it is kept with the probability p/q, else a token is drawn from what p
// has more than q. So tokens are distributed as p, whatever q is. p and q are
// probabilities; p is overwritten.
func (s *sampler) judge(draft int, p, q []float32) (token int, kept bool) {
	if float32(s.random.Float64())*q[draft] < p[draft] {
		return draft, true
	}
	total := 0.0
	for i := range p {
		p[i] = max(p[i]-q[i], 0)
		total += float64(p[i])
	}
	if total == 0 { // p and q are equal but for rounding
		return draft, true
	}
	return s.draw(p, total), false
}
