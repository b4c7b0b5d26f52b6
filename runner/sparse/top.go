package sparse

import (
	"math"
	"math/bits"
	"slices"
)

// Selector chooses the largest scores. Where scores tie it chooses those that
// torch.topk does on a CPU. That collects pairs of score and index and calls the C++
// library's partial_sort if 64·k ≤ n, else nth_element, neither of which is stable:
// which of equal elements end in front follows from the order of their moves. So these
// are made here one by one, as GNU's library makes them (median-of-three quickselect;
// a heap for the partial sort).
//
// What a row of n scores ties to depends on n, with the keys that the token may not see.
// So a text in one pass and the same text token by token may differ there, as they do in
// transformers. Stable chooses the first of ties instead: then they are equal, and differ
// from transformers.
type Selector struct {
	Stable bool

	pairs []pair
}

type pair struct {
	score float32
	index int32
}

// before says that a belongs in front of b: a larger score, NaN above all.
func (a pair) before(b pair) bool {
	return a.score > b.score || a.score != a.score && b.score == b.score
}

// Top appends to dst, in ascending order, the indices of the k largest scores. A score
// of −Inf is never chosen: it marks a key that the token may not see, and takes part
// as such in how ties are broken.
func (s *Selector) Top(dst []int32, scores []float32, k int) []int32 {
	from := len(dst)
	seen := 0
	for _, v := range scores {
		if !math.IsInf(float64(v), -1) {
			seen++
		}
	}
	if seen <= k {
		for i, v := range scores {
			if !math.IsInf(float64(v), -1) {
				dst = append(dst, int32(i))
			}
		}
		return dst
	}
	s.pairs = s.pairs[:0]
	for i, v := range scores {
		s.pairs = append(s.pairs, pair{v, int32(i)})
	}
	if s.Stable {
		slices.SortStableFunc(s.pairs, func(a, b pair) int {
			switch {
			case a.before(b):
				return -1
			case b.before(a):
				return 1
			}
			return 0
		})
	} else if 64*k <= len(scores) {
		heapSelect(s.pairs, k)
	} else {
		nth(s.pairs, k-1)
	}
	for _, p := range s.pairs[:k] {
		dst = append(dst, p.index)
	}
	slices.Sort(dst[from:])
	return dst
}

// nth moves pairs until p[n] is where sorting would put it and nothing behind it
// belongs in front.
func nth(p []pair, n int) {
	lo, hi := 0, len(p)
	for depth := 2 * (bits.Len(uint(len(p))) - 1); hi-lo > 3; depth-- {
		if depth == 0 {
			heapSelect(p[lo:hi], n+1-lo)
			p[lo], p[n] = p[n], p[lo]
			return
		}
		medianToFront(p, lo, lo+1, lo+(hi-lo)/2, hi-1)
		if cut := partition(p, lo+1, hi, p[lo]); cut <= n {
			lo = cut
		} else {
			hi = cut
		}
	}
	for i := lo + 1; i < hi; i++ {
		x, j := p[i], i
		for ; j > lo && x.before(p[j-1]); j-- {
			p[j] = p[j-1]
		}
		p[j] = x
	}
}

// medianToFront swaps the median of three elements with that at to.
func medianToFront(p []pair, to, a, b, c int) {
	m := a
	switch ab, bc, ac := p[a].before(p[b]), p[b].before(p[c]), p[a].before(p[c]); {
	case ab && bc, !ab && !ac && !bc:
		m = b
	case ab && ac, !ab && !ac && bc:
		m = c
	}
	p[to], p[m] = p[m], p[to]
}

// partition moves what belongs in front of pivot to the front of p[lo:hi] and returns
// where the rest begins.
func partition(p []pair, lo, hi int, pivot pair) int {
	for {
		for p[lo].before(pivot) {
			lo++
		}
		for hi--; pivot.before(p[hi]); {
			hi--
		}
		if lo >= hi {
			return lo
		}
		p[lo], p[hi] = p[hi], p[lo]
		lo++
	}
}

// heapSelect moves the k foremost elements into p[:k], which it orders as a heap with
// the last of them on top.
func heapSelect(p []pair, k int) {
	for i := k/2 - 1; i >= 0; i-- {
		sift(p[:k], i, p[i])
	}
	for i := k; i < len(p); i++ {
		if x := p[i]; x.before(p[0]) {
			p[i] = p[0]
			sift(p[:k], 0, x)
		}
	}
}

// sift puts x into the heap whose place hole is free: it lets the hole sink to a leaf,
// then x rise from there.
func sift(p []pair, hole int, x pair) {
	top := hole
	for 2*hole+2 < len(p) {
		child := 2*hole + 2
		if p[child].before(p[child-1]) {
			child--
		}
		p[hole], hole = p[child], child
	}
	if child := 2*hole + 1; child == len(p)-1 {
		p[hole], hole = p[child], child
	}
	for hole > top {
		parent := (hole - 1) / 2
		if !p[parent].before(x) {
			break
		}
		p[hole], hole = p[parent], parent
	}
	p[hole] = x
}
