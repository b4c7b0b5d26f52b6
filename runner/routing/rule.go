package routing

import (
	"math"

	"quern/internal/vec"
)

// Score is what is made of a logit before the choice.
type Score uint8

const (
	Logit Score = iota
	Softmax
	Sigmoid
	SqrtSoftplus
)

// Rule is how a family routes.
type Rule struct {
	Score Score
	// Groups, if above 1, of equally many experts in a row; only the best TopGroups are
	// chosen from, by their best score, or by the sum of their BestTwo.
	Groups, TopGroups int
	BestTwo           bool
	// Chosen is applied to the chosen logits (Score is Logit then).
	Chosen Score
	// Normalize divides by the sum; Tiny is added to the sum, Least is its least.
	Normalize   bool
	Tiny, Least float32
	Factor      float32 // 0 means 1
}

// Choose writes a token's experts, best first, and their weights. bias, one number an
// expert, may be nil. logits become scores; scratch has room for 2·len(logits) numbers.
func (r *Rule) Choose(ids []int32, weights, logits, bias, scratch []float32) {
	r.Scores(logits)
	choice := scratch[:len(logits)]
	copy(choice, logits)
	if bias != nil {
		vec.Add(choice, bias)
	}
	if r.Groups > 1 {
		r.mask(choice, scratch[len(logits):])
	}
	for k := range ids {
		// A NaN is never the largest: a choice exists whatever the input.
		best := -1
		for e, v := range choice {
			if v > float32(math.Inf(-1)) && (best < 0 || v > choice[best]) {
				best = e
			}
		}
		if best < 0 {
			best = free(ids[:k], len(choice))
		}
		ids[k] = int32(best)
		choice[best] = float32(math.Inf(-1))
	}
	r.Weigh(ids, weights, logits)
}

// free is the first expert that is not among ids.
func free(ids []int32, experts int) int {
	for e := range experts {
		taken := false
		for _, id := range ids {
			taken = taken || int(id) == e
		}
		if !taken {
			return e
		}
	}
	return 0
}

// Scores turns logits into scores.
func (r *Rule) Scores(logits []float32) { score(r.Score, logits) }

func score(s Score, x []float32) {
	switch s {
	case Softmax:
		vec.Softmax(x)
	case Sigmoid:
		vec.Sigmoid(x, x)
	case SqrtSoftplus:
		for i, v := range x {
			if v <= 20 {
				v = float32(math.Log1p(math.Exp(float64(v))))
			}
			x[i] = float32(math.Sqrt(float64(v)))
		}
	}
}

// Weigh writes the weights of experts that are chosen already, by their scores: with a
// table of experts by token (DeepSeek-V4's first layers) it follows Scores.
func (r *Rule) Weigh(ids []int32, weights, scores []float32) {
	for i, id := range ids {
		weights[i] = scores[id]
	}
	score(r.Chosen, weights)
	if r.Normalize {
		sum := float32(0)
		for _, w := range weights {
			sum += w
		}
		sum = max(sum+r.Tiny, r.Least)
		for i := range weights {
			weights[i] /= sum
		}
	}
	if r.Factor != 0 && r.Factor != 1 {
		vec.Scale(weights, r.Factor)
	}
}

// mask sets the choices of all but the best groups to −Inf.
func (r *Rule) mask(choice, scratch []float32) {
	size := len(choice) / r.Groups
	value := scratch[:r.Groups]
	for g := range value {
		first, second := float32(math.Inf(-1)), float32(math.Inf(-1))
		for _, v := range choice[g*size:][:size] {
			if v > first {
				first, second = v, first
			} else if v > second {
				second = v
			}
		}
		value[g] = first
		if r.BestTwo && size > 1 {
			value[g] += second
		}
	}
	for range r.Groups - r.TopGroups {
		worst := -1
		for g, v := range value {
			if !math.IsInf(float64(v), 1) && (worst < 0 || v <= value[worst]) {
				worst = g
			}
		}
		if worst < 0 {
			return
		}
		value[worst] = float32(math.Inf(1))
		for i := range size {
			choice[worst*size+i] = float32(math.Inf(-1))
		}
	}
}

// Cap replaces logits by tanh(l/c)·c.
func Cap(logits []float32, c float32) {
	for i, l := range logits {
		logits[i] = float32(math.Tanh(float64(l/c))) * c
	}
}
