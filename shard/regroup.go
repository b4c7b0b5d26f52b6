package shard

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quern/convert/plan"
	"quern/formats/model"
	"quern/shard/placement"
)

// Options say how to regroup. The groups of the placement's configuration are the
// model's, whatever they are set to.
type Options struct {
	placement.Config
	Input     *placement.Input // what was counted or traced; nil: nothing
	Bake      bool             // number experts by slot
	ShardSize int64            // bytes of data a file; 0: plan.DefaultShardSize
}

// Result says what became of the experts.
type Result struct {
	*placement.Comparison
	Baked bool
	Reading
}

// Regroup is the stage that divides p, a plan for a model of the given architecture,
// into files by rank. It comes last: it replaces the shards that p may have. Errors
// that blame the configuration are *convert.UsageError or *placement.UsageError,
// those that blame the input match invalid.Input.
func Regroup(ctx context.Context, p *plan.Plan, arch *model.Arch, o Options) (*Result, error) {
	cmp, err := o.place(ctx, p, arch)
	if err != nil {
		return nil, err
	}
	pl := cmp.Placement
	lies := pl // by the numbers of the output
	if o.Bake {
		if err := bake(p, arch, pl); err != nil {
			return nil, err
		}
		lies = inOrder(pl)
	}
	files, err := divide(p, arch.Config(), lies, o.ShardSize)
	if err != nil {
		return nil, err
	}
	lists := make([][]int, len(files))
	for i := range files {
		lists[i] = files[i].members
	}
	if err := p.PackFiles(lists); err != nil {
		return nil, err
	}
	r := &Result{Comparison: cmp, Baked: o.Bake, Reading: reading(p, files, pl.Config.Ranks)}
	if o.Input == nil {
		p.Notes = append(p.Notes, "no loads and no trace: experts are placed contiguously, in index order")
	} else {
		p.Notes = append(p.Notes, pl.Notes...)
	}
	if err := r.beside(p); err != nil {
		return nil, err
	}
	o.enter(p, pl.Config)
	return r, nil
}

// enter adds the options to those of p.
func (o Options) enter(p *plan.Plan, c placement.Config) {
	p.Options = append(slices.Clone(p.Options),
		plan.Option{Name: "algorithm", Value: string(c.Algorithm)},
		plan.Option{Name: "bake", Value: strconv.FormatBool(o.Bake)},
		plan.Option{Name: "nodes", Value: strconv.Itoa(c.Nodes)},
		plan.Option{Name: "ranks", Value: strconv.Itoa(c.Ranks)},
		plan.Option{Name: "redundant", Value: strconv.Itoa(c.Redundant)},
		plan.Option{Name: "tolerance", Value: strconv.FormatFloat(c.Tolerance, 'g', -1, 64)},
	)
	if p.Option("shard-size") == "" {
		size := o.ShardSize
		if size <= 0 {
			size = plan.DefaultShardSize
		}
		p.Options = append(p.Options, plan.Option{Name: "shard-size", Value: fmt.Sprint(size)})
	}
	slices.SortFunc(p.Options, func(a, b plan.Option) int { return strings.Compare(a.Name, b.Name) })
}
