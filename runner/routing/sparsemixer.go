package routing

import (
	"math"

	"quern/internal/vec"
)

// SparseMixer is the rule of PhiMoE (arXiv 2409.12136) outside training: each of the
// chosen experts is the largest logit that is left, and its weight is its softmax among
// those left that are near it: (l−x)/max(|x|, l) ≤ 2·jitter for the logit x and the
// largest l. So the weights do not sum to one. jitter is router_jitter_noise. logits
// are overwritten; scratch has room for as many numbers.
func SparseMixer(ids []int32, weights, logits []float32, jitter float32, scratch []float32) {
	for k := range ids {
		best, top := vec.ArgMax(logits)
		near := scratch[:len(logits)]
		for e, x := range logits {
			// A logit chosen before is −Inf and stays so.
			near[e] = x
			if (top-x)/max(float32(math.Abs(float64(x))), top) > 2*jitter {
				near[e] = float32(math.Inf(-1))
			}
		}
		vec.Softmax(near)
		ids[k], weights[k] = int32(best), near[best]
		logits[best] = float32(math.Inf(-1))
	}
}
