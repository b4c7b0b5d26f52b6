package model

import (
	"iter"
	"math/bits"
)

// Parameters are the sizes that models are known by.
type Parameters struct {
	// Total is the number of all weights outside of MTP layers. Scales never count,
	// packed weights count one by one.
	Total int64 `json:"total"`
	// Active is what one token uses: Total less the routed experts that are not
	// chosen for it. The embedding and the output head are in it. It is 0 when
	// there are routed experts and the config does not say how many are chosen.
	Active int64 `json:"active"`
	// MTP is the number of weights of MTP layers, their copies of the embedding and
	// the output head included.
	MTP int64 `json:"mtp"`
}

// Parameters counts the weights of tensors, given with their number of stored
// elements.
func (a *Arch) Parameters(tensors iter.Seq2[Tensor, int64]) Parameters {
	var p Parameters
	var routed int64
	most := 0 // experts, when the config does not say
	for t, elements := range tensors {
		n := elements * t.Weights
		if t.MTP {
			p.MTP += n
			continue
		}
		p.Total += n
		if t.Role == RoutedExpert || t.Role == Bias && t.ByExpert {
			routed += n
			most = max(most, t.Expert+1)
		}
	}
	chosen, all := int64(a.config.NumExpertsPerTok), int64(a.config.NumExperts)
	if all == 0 {
		all = int64(most)
	}
	switch {
	case routed == 0:
		p.Active = p.Total
	case chosen > 0 && chosen <= all:
		p.Active = p.Total - routed + share(routed, chosen, all)
	}
	return p
}

// share is n·k/of without overflow; k ≤ of.
func share(n, k, of int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(k))
	q, _ := bits.Div64(hi, lo, uint64(of))
	return int64(q)
}
