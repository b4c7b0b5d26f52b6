package metrics

import "slices"

// Bins counts tokens by their KLD, on a logarithmic scale.
type Bins struct {
	// Edges are 10⁻⁹ … 10², three a decade, always the same.
	Edges []float64 `json:"edges"`
	// Counts has one more: Counts[0] is of values below Edges[0], exact zeros
	// among them, Counts[i] of values from Edges[i−1] and below Edges[i], the last
	// of what is left, infinite values among them.
	Counts []int `json:"counts"`
}

// Histogram counts tokens by their KLD.
func Histogram(tokens []Token) Bins {
	b := Bins{Edges: edges()}
	b.Counts = make([]int, len(b.Edges)+1)
	for i := range tokens {
		n, found := slices.BinarySearch(b.Edges, tokens[i].KLD)
		if found {
			n++
		}
		b.Counts[n]++
	}
	return b
}

// edges are written as numbers: what math.Pow gives need not be the same on all
// machines.
func edges() []float64 {
	decades := []float64{1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10}
	var e []float64
	for _, d := range decades {
		e = append(e, d, d*2.154434690031884, d*4.641588833612779) // 10^⅓, 10^⅔
	}
	return append(e, 100)
}
