package verify

import (
	"maps"
	"slices"

	"quern/convert/plan"
	"quern/formats/hf"
)

// Renumbered says how the experts of a checkpoint were renumbered: they are compared
// with those of the baseline that quern-placement.json names.
type Renumbered struct {
	Layers  int `json:"layers"`
	Experts int `json:"experts"` // of all these layers
	Moved   int `json:"moved"`   // those that have another number
}

// Renumbering is, by layer, the number in base of each expert of cand, as far as cand
// was made by renumbering (quern shard --bake); else nil.
func Renumbering(base, cand *hf.Checkpoint) (map[int][]int, error) {
	order, err := plan.Permutation(cand)
	if err != nil || order == nil {
		return nil, err
	}
	its, err := plan.Permutation(base)
	if err != nil {
		return nil, err
	}
	if maps.EqualFunc(order, its, slices.Equal[[]int]) {
		return nil, nil // both are copies of one checkpoint, or one of the other
	}
	return order, nil
}

// renumbered sums up order.
func renumbered(order map[int][]int) *Renumbered {
	if order == nil {
		return nil
	}
	r := &Renumbered{Layers: len(order)}
	for _, list := range order {
		r.Experts += len(list)
		for n, e := range list {
			if n != e {
				r.Moved++
			}
		}
	}
	return r
}
