package plan

import (
	"slices"

	"quern/formats/model"
	"quern/internal/invalid"
)

// Renumber gives the routed experts of layers other numbers: what was expert
// order[layer][n] becomes expert n. The tensors of an expert change names with
// those of the expert whose number it gets; tensors of all experts are read in the
// new order along dimension 0. Layers that order lacks stay as they are.
//
// Refused, with an error that matches invalid.Input, is what would leave
// something behind: experts that differ in their tensors, tables of experts by
// token, and tensors of which it is not known whether they go by expert.
func (p *Plan) Renumber(order map[int][]int) error {
	r := renumbering{order: order, place: make(map[int][]int, len(order)), owner: map[expertTensor]int{}}
	for l, list := range order {
		inverse := make([]int, len(list))
		for n, e := range list {
			inverse[e] = n
		}
		r.place[l] = inverse
	}
	old := make([]Tensor, len(p.Tensors))
	copy(old, p.Tensors)
	for i := range old {
		if err := r.enter(i, &old[i]); err != nil {
			return err
		}
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		to := r.place[t.Meta.Layer]
		switch {
		case t.Meta.Layer < 0 || to == nil:
		case t.Meta.Expert >= 0:
			k := keyOf(t)
			k.expert = to[k.expert]
			at, ok := r.owner[k]
			if !ok {
				return invalid.Errorf("tensor %q: expert %d of layer %d, whose number it is to get, has no such tensor: experts that differ cannot change places", t.Name, k.expert, k.layer)
			}
			t.Name, t.Meta = old[at].Name, old[at].Meta
		default:
			if err := r.permute(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// Keeping is an order with the numbers behind it that compute nothing, which stay.
func Keeping(order map[int][]int, c *model.Config) map[int][]int {
	if c == nil || c.ZeroExperts == 0 {
		return order
	}
	all := make(map[int][]int, len(order))
	for l, list := range order {
		all[l] = slices.Clone(list)
		for n := len(list); c.SpareExpert(n); n++ {
			all[l] = append(all[l], n)
		}
	}
	return all
}

// renumbering is what Renumber goes by.
type renumbering struct {
	order map[int][]int // by layer: the old expert of each number
	place map[int][]int // by layer: the new number of each expert
	owner map[expertTensor]int
}

// expertTensor tells the tensors of the experts of a layer apart.
type expertTensor struct {
	layer, expert int
	role          model.Role
	part, param   string
}

func keyOf(t *Tensor) expertTensor {
	return expertTensor{t.Meta.Layer, t.Meta.Expert, t.Meta.Role, t.Meta.Part, t.Meta.Param}
}

// enter takes note of a tensor of one expert.
func (r *renumbering) enter(i int, t *Tensor) error {
	list := r.order[t.Meta.Layer]
	if t.Meta.Layer < 0 || list == nil || t.Meta.Expert < 0 {
		return nil
	}
	if t.Meta.Expert >= len(list) {
		return invalid.Errorf("tensor %q: expert %d of layer %d, which has %d", t.Name, t.Meta.Expert, t.Meta.Layer, len(list))
	}
	k := keyOf(t)
	if _, ok := r.owner[k]; ok {
		return invalid.Errorf("tensor %q: a second tensor of its kind for expert %d", t.Name, k.expert)
	}
	r.owner[k] = i
	return nil
}

// permute has a tensor of a renumbered layer, that belongs to no single expert,
// read in the new order if it goes by expert.
func (r *renumbering) permute(t *Tensor) error {
	order := r.order[t.Meta.Layer]
	first := int64(0)
	if len(t.Shape) > 0 {
		first = t.Shape[0]
	}
	switch {
	case t.Meta.Role == model.Router && !t.Meta.ByExpert, t.Meta.Role == model.RoutedExpert && !t.Meta.ByExpert:
		return invalid.Errorf("tensor %q: it names experts in a way that numbers cannot be changed in", t.Name)
	case t.Meta.Role == model.Unknown && first == int64(len(order)):
		return invalid.Errorf("tensor %q: it is not known whether its %d rows go by expert", t.Name, first)
	case !t.Meta.ByExpert:
		return nil
	case t.Meta.Role == model.Scale && first <= 1: // one for all experts
		return nil
	case first != int64(len(order)) || t.Source.Shape[0] != first || t.Source.Bytes()%first != 0:
		return invalid.Errorf("tensor %q: shape %v does not go by the %d experts of layer %d", t.Name, t.Shape, len(order), t.Meta.Layer)
	}
	was := t.Source.Order
	t.Source.Order = make([]int, len(order))
	for n, e := range order {
		if was != nil {
			e = was[e]
		}
		t.Source.Order[n] = e
	}
	return nil
}
