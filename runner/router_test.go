package runner

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func pick(r *router, logits, correct []float32) ([]int32, []float32) {
	if !r.corrected {
		correct = nil
	}
	ids, weights := make([]int32, r.topK), make([]float32, r.topK)
	r.choose(ids, weights, slices.Clone(logits), correct, make([]float32, 3*r.experts))
	return ids, weights
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
		{routing: softmaxTopK, experts: 16, topK: 4, factor: 1},
		{routing: softmaxTopK, experts: 16, topK: 4, factor: 1, normalize: true},
		{routing: softmaxGroupMax, experts: 16, topK: 4, groups: 4, topGroups: 2, factor: 16},
		{routing: sigmoidBiasTopK, experts: 16, topK: 4, groups: 4, topGroups: 2, factor: 2.5, normalize: true},
		{routing: sigmoidBiasTopK, experts: 16, topK: 4, groups: 1, topGroups: 1, factor: 1, normalize: true},
		{routing: topKSoftmax, experts: 16, topK: 4, factor: 1},
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
			if want := float64(r.factor); (r.normalize || r.weigh != nil) && math.Abs(sum-want) > 1e-5*want {
				t.Errorf("router %q: weights add up to %g", r.scoring, sum)
			}
			if groups := map[int32]bool{}; r.groups > 1 {
				for _, id := range ids {
					groups[id/4] = true
				}
				if len(groups) > r.topGroups {
					t.Errorf("router %q: %v come from %d groups", r.scoring, ids, len(groups))
				}
			}
		}
	}
}

// The bias chooses and does not weigh; ties go to the lower expert; what is no number
// is never chosen before what is one.
func TestRouterEdges(t *testing.T) {
	r := &router{routing: sigmoidBiasTopK, experts: 4, topK: 2, groups: 1, factor: 1}
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
	g := &router{routing: sigmoidBiasTopK, experts: 4, topK: 2, groups: 2, topGroups: 1, factor: 1}
	ids, _ = pick(g, []float32{0, 0, 1, 1}, []float32{-5, -5, -4, -4})
	if !slices.Equal(ids, []int32{2, 3}) {
		t.Error(ids)
	}
	all := &router{routing: softmaxTopK, experts: 4, topK: 4, factor: 1}
	ids, _ = pick(all, []float32{1, 4, 2, 2}, nil)
	if !slices.Equal(ids, []int32{1, 2, 3, 0}) {
		t.Error(ids)
	}
}
