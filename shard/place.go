package shard

import (
	"context"
	"fmt"
	"slices"

	"quern/convert"
	"quern/convert/plan"
	"quern/formats/model"
	"quern/internal/invalid"
	"quern/shard/placement"
)

func usagef(format string, args ...any) error {
	return &convert.UsageError{Message: fmt.Sprintf(format, args...)}
}

// groupsOf is the number of groups of experts that a token's choice is limited to,
// 1 where it is free. DeepSeek-V2-Lite names groups and chooses without them.
func groupsOf(c *model.Config) int {
	if c.NGroup > 1 && c.TopKMethod != "greedy" {
		return c.NGroup
	}
	return 1
}

// shapeOf finds the layers of a plan that have routed experts. Weights of choices that
// compute nothing lie in common files.
func shapeOf(p *plan.Plan, arch *model.Arch) (placement.Shape, error) {
	s := placement.Shape{Experts: arch.Config().NumExperts}
	known := s.Experts > 0
	seen := map[int]bool{}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Meta.Layer < 0 || t.Meta.Role != model.RoutedExpert || arch.Config().SpareExpert(t.Meta.Expert) {
			continue
		}
		if !seen[t.Meta.Layer] {
			seen[t.Meta.Layer] = true
			s.Layers = append(s.Layers, t.Meta.Layer)
			if t.Meta.MTP {
				s.MTP = append(s.MTP, t.Meta.Layer)
			}
		}
		n := t.Meta.Expert + 1
		if t.Meta.ByExpert && len(t.Shape) > 0 {
			n = int(min(t.Shape[0], 1<<30))
		}
		switch {
		case known && n > s.Experts:
			return s, invalid.Errorf("tensor %q: it is of expert %d, but config.json says that a layer has %d", t.Name, n-1, s.Experts)
		case !known:
			s.Experts = max(s.Experts, n)
		}
	}
	if len(s.Layers) == 0 {
		return s, invalid.Errorf("there are no routed experts: nothing can be regrouped")
	}
	slices.Sort(s.Layers)
	slices.Sort(s.MTP)
	return s, nil
}

// place decides where the experts of p go.
func (o Options) place(ctx context.Context, p *plan.Plan, arch *model.Arch) (*placement.Comparison, error) {
	s, err := shapeOf(p, arch)
	if err != nil {
		return nil, err
	}
	c := o.Config
	if c.Groups = groupsOf(arch.Config()); s.Experts%c.Groups != 0 {
		return nil, invalid.Errorf("config.json: n_group %d does not divide %d experts", c.Groups, s.Experts)
	}
	parts, note, err := o.inputs(s)
	if err != nil {
		return nil, err
	}
	var cmp *placement.Comparison
	for _, in := range parts {
		next, err := o.compare(ctx, in, c)
		if err != nil {
			return nil, err
		}
		if cmp == nil {
			cmp = next
			continue
		}
		cmp.Placement.Layers = append(cmp.Placement.Layers, next.Placement.Layers...)
		cmp.Metrics = append(cmp.Metrics, next.Metrics...)
	}
	cmp.Placement.Shape = s
	if note != "" {
		cmp.Placement.Notes = append(cmp.Placement.Notes, note)
	}
	return cmp, nil
}

// inputs says what the layers are placed by: MTP layers by nothing, where only the
// others were counted, as engines' recorders do.
func (o Options) inputs(s placement.Shape) (parts []*placement.Input, note string, err error) {
	if o.Input == nil {
		return []*placement.Input{{Shape: s}}, "", nil
	}
	in, err := o.Input.For(s)
	if err == nil {
		return []*placement.Input{in}, "", nil
	}
	main, mtp := s, s
	main.MTP, mtp.Layers = nil, s.MTP
	main.Layers = slices.DeleteFunc(slices.Clone(s.Layers), func(l int) bool { return slices.Contains(s.MTP, l) })
	if len(s.MTP) == 0 || len(main.Layers) == 0 || main.Layers[len(main.Layers)-1] > s.MTP[0] {
		return nil, "", err
	}
	in, lacking := o.Input.For(main)
	if lacking != nil {
		return nil, "", err
	}
	return []*placement.Input{in, {Shape: mtp}}, "MTP layers were not counted: their placement is contiguous", nil
}

// compare places by every algorithm. Of a model with groups of experts that are to be
// renumbered whole groups are placed: on ranks, or on as many ranks as a group takes.
func (o Options) compare(ctx context.Context, in *placement.Input, c placement.Config) (*placement.Comparison, error) {
	if !o.Bake {
		return placement.Compare(ctx, in, c)
	}
	whole := c
	switch {
	case c.Redundant > 0:
		return nil, usagef("--bake --redundant %d: a second copy of an expert has no number; without --bake it is in the maps", c.Redundant)
	case c.Groups == 1 || c.Ranks < 1:
	case c.Groups%c.Ranks == 0:
		whole.Nodes = c.Ranks
	case c.Ranks%c.Groups == 0:
		whole.Nodes = c.Groups
	default:
		return nil, usagef("--bake --ranks %d: the router chooses among %d groups of experts, which have to stay whole: the ranks must divide the groups, or the groups the ranks", c.Ranks, c.Groups)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	cmp, err := placement.Compare(ctx, in, c)
	if err != nil || whole.Nodes == c.Nodes {
		return cmp, err
	}
	pl, err := placement.Place(ctx, in, whole)
	if err != nil {
		return nil, err
	}
	pl.Config.Nodes = cmp.Placement.Config.Nodes
	pl.Notes = cmp.Placement.Notes
	list, err := pl.Evaluate(ctx, in)
	if err != nil {
		return nil, err
	}
	for i := range cmp.Metrics {
		cmp.Metrics[i][pl.Config.Algorithm] = list[i]
	}
	cmp.Placement, cmp.Mean[pl.Config.Algorithm] = pl, placement.Mean(list)
	return cmp, nil
}
