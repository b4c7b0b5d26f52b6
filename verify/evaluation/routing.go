package evaluation

import (
	"maps"
	"slices"

	"quern/runner"
	"quern/verify/metrics"
)

// routings compares the choices of a second model with those of the first.
type routings struct {
	experts int
	base    *routes
	order   map[int][]int // by layer: the first model's number of each expert
	r       metrics.Routing
	err     error
}

// compare is the hook that does it.
func (r *routings) compare() *runner.Hooks {
	r.r.Experts = r.experts
	var base, same []int32
	return &runner.Hooks{Route: func(layer, first int, ids []int32, _ []float32, k int) {
		l := r.base.layers[layer]
		if l == nil || l.k != k || r.err != nil {
			return
		}
		if base, r.err = r.base.of(base[:0], l, first, len(ids)); r.err != nil {
			return
		}
		if order := r.order[layer]; order != nil {
			same = same[:0]
			for _, id := range ids {
				if int(id) < len(order) { // a map of another model is the weights' matter
					id = int32(order[id])
				}
				same = append(same, id)
			}
			ids = same
		}
		r.err = r.r.Add(layer, k, base, ids)
	}}
}

// experts is the number of experts of a model's layers.
func experts(m *runner.Model) int {
	n := 0
	for _, l := range m.Routed() {
		n = max(n, l.Experts)
	}
	return n
}

// loads count how often a model chooses each expert, by layer.
type loads map[int][]int64

// count is the hook that fills l, of layers with n experts at most.
func (l loads) count(n int) *runner.Hooks {
	return &runner.Hooks{Route: func(layer, _ int, ids []int32, _ []float32, _ int) {
		if l[layer] == nil {
			l[layer] = make([]int64, n)
		}
		for _, id := range ids {
			l[layer][id]++
		}
	}}
}

// take adds the counts of other rows.
func (l loads) take(other loads) {
	for layer, load := range other {
		if len(l[layer]) < len(load) {
			l[layer] = append(l[layer], make([]int64, len(load)-len(l[layer]))...)
		}
		for e, n := range load {
			l[layer][e] += n
		}
	}
}

// list is l by layer.
func (l loads) list() (out []LayerLoad) {
	for _, layer := range slices.Sorted(maps.Keys(l)) {
		out = append(out, LayerLoad{layer, l[layer]})
	}
	return out
}
