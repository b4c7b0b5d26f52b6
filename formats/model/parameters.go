package model

import (
	"iter"
	"math/bits"
	"strings"
)

// Parameters are the sizes that models are known by.
type Parameters struct {
	// Total is the number of all weights outside of MTP layers. Scales never count,
	// packed weights count one by one.
	Total int64 `json:"total"`
	// Active is what one token uses: Total less the routed experts that are not
	// chosen for it, on average where some choices have no weights (LongCat). The embedding and the output head are in it. It is 0, and not
	// in JSON, when it is not known: the config does not say how many experts are
	// chosen, or has experts and no rule says which tensors they are.
	Active int64 `json:"active,omitempty"`
	// MTP is the number of weights of MTP layers, their copies of the embedding and
	// the output head included.
	MTP int64 `json:"mtp"`
}

// Parameters counts the weights of tensors, given with their number of stored
// elements.
func (a *Arch) Parameters(tensors iter.Seq2[Tensor, int64]) Parameters {
	var p Parameters
	var routed int64
	most := 0       // experts, when the config does not say
	hidden := false // whether a tensor may be of experts that no rule places
	for t, elements := range tensors {
		n := elements * t.Weights
		if t.MTP {
			p.MTP += n
			continue
		}
		p.Total += n
		hidden = hidden || t.Role == Unknown && t.ofExperts()
		if t.Role == RoutedExpert || t.Role == Bias && t.ByExpert {
			routed += n
			most = max(most, t.Expert+1)
		}
	}
	chosen, all := int64(a.config.NumExpertsPerTok), int64(a.config.NumExperts)
	if all == 0 {
		all = int64(most)
	}
	all += int64(a.config.ZeroExperts) // a choice of one of these uses no weights
	switch {
	case hidden:
	case routed == 0:
		if all <= 1 {
			p.Active = p.Total
		}
	case chosen > 0 && chosen <= all:
		p.Active = p.Total - routed + share(routed, chosen, all)
	}
	return p
}

// ofExperts reports whether the path of a tensor speaks of experts.
func (t *Tensor) ofExperts() bool {
	return strings.Contains(t.Module, "expert") || strings.Contains(t.Param, "expert")
}

// share is n·k/of without overflow; k ≤ of.
func share(n, k, of int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(k))
	q, _ := bits.Div64(hi, lo, uint64(of))
	return int64(q)
}
