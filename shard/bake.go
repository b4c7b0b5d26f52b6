package shard

import (
	"slices"
	"strings"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/internal/strictjson"
	"quern/shard/placement"
)

// bake renumbers the experts of p by slot. Slots of a rank may change places before.
func bake(p *plan.Plan, arch *model.Arch, pl *placement.Placement) error {
	if !arch.Known() {
		return invalid.Errorf("--bake: the architecture is not in the table, and so it is not known which of its tensors go by expert")
	}
	groups := groupsOf(arch.Config())
	order := make(map[int][]int, len(pl.Layers))
	for i := range pl.Layers {
		l := &pl.Layers[i]
		if err := settle(pl, l, groups); err != nil {
			return err
		}
		order[l.Number] = l.Phy2Log
	}
	if err := namedApart(p, pl.Shape.Experts); err != nil {
		return err
	}
	return p.Renumber(plan.Keeping(order, arch.Config()))
}

// settle brings the experts of a group together within each rank, and makes sure
// that every group of numbers is a group of experts.
func settle(pl *placement.Placement, l *placement.Layer, groups int) error {
	if groups == 1 {
		return nil
	}
	size := pl.Shape.Experts / groups
	for r := range pl.Config.Ranks {
		slices.SortStableFunc(pl.OfRank(l, r), func(a, b int) int { return a/size - b/size })
	}
	for s, e := range l.Phy2Log {
		l.Log2Phy[e] = []int{s}
		if first := l.Phy2Log[s/size*size]; e/size != first/size {
			return invalid.Errorf("--bake: layer %d: experts %d and %d would share a group, of which the router chooses among %d: the model would be another", l.Number, first, e, groups)
		}
	}
	return nil
}

// inOrder is the placement that a renumbered checkpoint has: expert s in slot s.
func inOrder(pl *placement.Placement) *placement.Placement {
	out := *pl
	out.Layers = make([]placement.Layer, len(pl.Layers))
	for i := range pl.Layers {
		l := placement.Layer{Number: pl.Layers[i].Number, Phy2Log: make([]int, pl.Slots), Log2Phy: make([][]int, pl.Slots)}
		for s := range pl.Slots {
			l.Phy2Log[s], l.Log2Phy[s] = s, []int{s}
		}
		out.Layers[i] = l
	}
	return &out
}

// namedApart refuses a config that says of some experts of a layer that they are not
// quantized: with other numbers it would say so of others.
func namedApart(p *plan.Plan, experts int) error {
	if p.Config == "" {
		return nil
	}
	root, err := strictjson.Parse([]byte(p.Config), strictjson.Options{NonFinite: true})
	if err != nil {
		return err
	}
	config, err := model.ParseConfig(&root)
	if err != nil || config.Quant == nil {
		return err
	}
	named := map[string]map[string]bool{} // experts by the pattern around their number
	for _, pattern := range config.Quant.NotConverted {
		before, rest, ok := strings.Cut(pattern, ".experts.")
		if !ok {
			continue
		}
		number, after, _ := strings.Cut(rest, ".")
		if number == "" || strings.Trim(number, "0123456789") != "" {
			continue
		}
		key := before + " " + after
		if named[key] == nil {
			named[key] = map[string]bool{}
		}
		named[key][number] = true
	}
	for key, numbers := range named {
		if len(numbers) != experts {
			layer, _, _ := strings.Cut(key, " ")
			return invalid.Errorf("--bake: config.json lists %d of the %d experts of %q as not quantized: with other numbers it would name others", len(numbers), experts, layer)
		}
	}
	return nil
}
