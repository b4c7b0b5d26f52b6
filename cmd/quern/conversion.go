package main

import (
	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/plan"
	"quern/convert/serving"
	"quern/formats/hf"
)

// conversion is what the command line says of an output that is to be planned: of
// quantize, plan, convert, shard and pipeline, each as far as it has the flags.
type conversion struct {
	args    []string
	options convert.QuantizeOptions
	run     convert.RunOptions
	engines []serving.Target // that the output is meant for
	regroup *regroup         // nil: not by rank
}

// conversionOf reads a command line with least to most arguments. Close it in the end.
func conversionOf(c *cli.Context, least, most int) (_ *conversion, err error) {
	q := &conversion{}
	if q.args, err = positional(c, least, most); err != nil {
		return nil, err
	}
	if flagNamed(c.Command.Flags, "scale-fmt") != nil { // of quantizeFlags
		if q.options, err = quantizeOptions(c); err != nil {
			return nil, err
		}
	}
	if q.run, err = runOptions(c); err != nil {
		return nil, err
	}
	q.run.Calibration = q.options.Calibration
	if q.engines, err = targets(c); err != nil {
		return nil, err
	}
	q.regroup, err = regrouping(c)
	return q, err
}

func (q *conversion) close() { q.regroup.close() }

// planner decides what is to become of a checkpoint.
type planner func(*hf.Checkpoint) (*plan.Plan, error)

func quantizing(o convert.QuantizeOptions) planner {
	return func(ck *hf.Checkpoint) (*plan.Plan, error) { return convert.PlanQuantize(ck, o) }
}

// draft opens IN and plans.
func (t *terminal) draft(q *conversion, decide planner) (*hf.Checkpoint, *plan.Plan, error) {
	ck, err := t.open(q.args[0])
	if err != nil {
		return nil, nil, err
	}
	p, err := t.plan(q, ck, decide)
	return ck, p, err
}

// plan decides, and regroups if that is asked for.
func (t *terminal) plan(q *conversion, ck *hf.Checkpoint, decide planner) (*plan.Plan, error) {
	p, err := q.regroup.after(decide)(ck)
	if err != nil {
		return nil, about(ck, err)
	}
	if t.verbose {
		digest, err := p.Digest()
		if err != nil {
			return nil, err
		}
		t.log("planned: %d tensors in %s, plan %.16s", len(p.Tensors), count(len(p.Shards), "file"), digest)
	}
	return p, nil
}
