package runner

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/runner/routing"
)

func pick(r *router, logits, correct []float32) ([]int32, []float32) {
	if !r.corrected {
		correct = nil
	}
	ids, weights := make([]int32, r.topK), make([]float32, r.topK)
	r.choose(ids, weights, slices.Clone(logits), correct, make([]float32, 2*r.experts))
	return ids, weights
}

// ruled is a router without weights.
func ruled(kind *routers, experts, topK, groups, topGroups int, factor float32, normalize bool) *router {
	r := &router{routers: kind, Rule: kind.rule, experts: experts, topK: topK}
	r.Groups, r.TopGroups, r.Factor, r.Normalize = groups, topGroups, factor, normalize
	return r
}

func normal(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// Renaming experts renames the choice and changes no weight: also with groups, when
// whole groups change places.
func TestRouterPermutation(t *testing.T) {
	for _, r := range []*router{
		ruled(softmaxTopK, 16, 4, 0, 0, 1, false),
		ruled(softmaxTopK, 16, 4, 0, 0, 1, true),
		ruled(softmaxGroupMax, 16, 4, 4, 2, 16, false),
		ruled(sigmoidBiasTopK, 16, 4, 4, 2, 2.5, true),
		ruled(sigmoidBiasTopK, 16, 4, 1, 1, 1, true),
		ruled(topKSoftmax, 16, 4, 0, 0, 1, false),
	} {
		for seed := range uint64(50) {
			logits, correct := normal(seed, 16), normal(seed+1000, 16)
			ids, weights := pick(r, logits, correct)
			// new[i] = old[perm[i]]: groups of four rotate, and experts within them.
			perm := make([]int, 16)
			for i := range perm {
				perm[i] = (i/4+1)%4*4 + (i+3)%4
			}
			l2, c2 := make([]float32, 16), make([]float32, 16)
			for i, p := range perm {
				l2[i], c2[i] = logits[p], correct[p]
			}
			ids2, weights2 := pick(r, l2, c2)
			for k := range ids {
				if perm[ids2[k]] != int(ids[k]) || math.Abs(float64(weights[k]-weights2[k])) > 1e-6*math.Abs(float64(weights[k])) {
					t.Fatalf("router %q: %v %v, renamed %v %v", r.scoring, ids, weights, ids2, weights2)
				}
			}
			sum := float64(0)
			for _, w := range weights {
				sum += float64(w)
			}
			if want := float64(r.Factor); (r.Normalize || r.Chosen == routing.Softmax) && math.Abs(sum-want) > 1e-5*want {
				t.Errorf("router %q: weights add up to %g", r.scoring, sum)
			}
			if groups := map[int32]bool{}; r.Groups > 1 {
				for _, id := range ids {
					groups[id/4] = true
				}
				if len(groups) > r.TopGroups {
					t.Errorf("router %q: %v come from %d groups", r.scoring, ids, len(groups))
				}
			}
		}
	}
}

// The bias chooses and does not weigh; ties go to the lower expert; what is no number
// is never chosen before what is one.
func TestRouterEdges(t *testing.T) {
	r := ruled(sigmoidBiasTopK, 4, 2, 1, 0, 1, false)
	ids, weights := pick(r, []float32{3, 0, 0, 0}, []float32{-10, 0, 5, 0})
	if !slices.Equal(ids, []int32{2, 1}) || weights[0] != 0.5 || weights[1] != 0.5 {
		t.Error(ids, weights)
	}
	// As small as GLM-5's scores: s must not be computed as (s+b)−b.
	_, weights = pick(r, []float32{-17, -18, -30, -30}, []float32{12, 12, 0, 0})
	if want := 1 / (1 + math.Exp(17)); math.Abs(float64(weights[0])-want) > 1e-5*want {
		t.Errorf("%g instead of %g", weights[0], want)
	}
	nan := float32(math.NaN())
	ids, _ = pick(r, []float32{nan, nan, nan, nan}, nil)
	if !slices.Equal(ids, []int32{0, 1}) {
		t.Error(ids)
	}
	// Two of four groups, of which the others' experts would be larger than 0 is:
	// masked with −∞ they are out, masked with 0 they were not.
	g := ruled(sigmoidBiasTopK, 4, 2, 2, 1, 1, false)
	ids, _ = pick(g, []float32{0, 0, 1, 1}, []float32{-5, -5, -4, -4})
	if !slices.Equal(ids, []int32{2, 3}) {
		t.Error(ids)
	}
	all := ruled(softmaxTopK, 4, 4, 0, 0, 1, false)
	ids, _ = pick(all, []float32{1, 4, 2, 2}, nil)
	if !slices.Equal(ids, []int32{1, 2, 3, 0}) {
		t.Error(ids)
	}
}
