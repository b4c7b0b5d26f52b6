package evaluation

import (
	"slices"

	"quern/runner"
	"quern/verify/metrics"
)

// routes are the choices of experts of a model: rows of k by layer, in 16 bits.
type routes map[int]*layerRoutes

type layerRoutes struct {
	k   int
	ids []uint16
}

// record is the hook that fills r.
func (r routes) record() *runner.Hooks {
	return &runner.Hooks{Route: func(layer, _ int, ids []int32, _ []float32, k int) {
		if r[layer] == nil {
			r[layer] = &layerRoutes{k: k}
		}
		l := r[layer]
		for _, id := range ids {
			l.ids = append(l.ids, uint16(id))
		}
	}}
}

// routings compares the choices of a second model with those of the first.
type routings struct {
	experts int
	base    routes
	order   map[int][]int // by layer: the first model's number of each expert
	r       metrics.Routing
	any     bool
	err     error
}

// compare is the hook that does it.
func (r *routings) compare() *runner.Hooks {
	r.r.Experts = r.experts
	var base, same []int32
	return &runner.Hooks{Route: func(layer, first int, ids []int32, _ []float32, k int) {
		l := r.base[layer]
		if l == nil || l.k != k || r.err != nil {
			return
		}
		base = base[:0]
		for _, id := range l.ids[first*k:][:len(ids)] {
			base = append(base, int32(id))
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
		r.any = true
		r.err = r.r.Add(layer, k, base, ids)
	}}
}

func (r *routings) report() *metrics.RoutingReport {
	if !r.any {
		return nil
	}
	rep := r.r.Report()
	return &rep
}

// experts is the number of experts of a model's layers.
func experts(m *runner.Model) int {
	n := 0
	for _, l := range m.Routed() {
		n = max(n, l.Experts)
	}
	return n
}

// loads counts how often a model chooses each expert.
func loads(m *runner.Model) (*runner.Hooks, func() []LayerLoad) {
	n := experts(m)
	count := map[int][]int64{}
	hook := &runner.Hooks{Route: func(layer, _ int, ids []int32, _ []float32, _ int) {
		if count[layer] == nil {
			count[layer] = make([]int64, n)
		}
		for _, id := range ids {
			count[layer][id]++
		}
	}}
	return hook, func() []LayerLoad {
		var out []LayerLoad
		for layer, load := range count {
			out = append(out, LayerLoad{layer, load})
		}
		slices.SortFunc(out, func(a, b LayerLoad) int { return a.Layer - b.Layer })
		return out
	}
}
