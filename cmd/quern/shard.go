package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/ui"
	"quern/shard"
	"quern/shard/placement"
)

func shardCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "shard",
		Usage:     "regroup a checkpoint, so that each rank reads only the files of its experts",
		ArgsUsage: "--ranks N [flags] IN OUT",
		Description: "Copies every tensor byte for byte, quantized or not, into common files and files by rank,\n" +
			"all tensors of an expert adjacent; quern-placement.json says who reads which. Names stay,\n" +
			"so every loader works, unless --bake numbers the experts anew, in the order of their\n" +
			"ranks. Which rank gets which experts follows from --load, --calibration or --trace, as in\n" +
			"quern place; without them it is index order. Stopped at any moment, the same command goes on.\n\n" +
			"Example:\n   quern shard --ranks 8 --trace ./trace.safetensors ./my-model-fp8 ./my-model-8",
		Flags: append(regroupFlags(),
			&cli.StringFlag{Name: "calibration", Usage: "`F`how often experts were chosen, from a calibration file"},
			shardFlag, taskFlag, workersFlag, memoryFlag, overwriteFlag, quietFlag, jsonFlag),
		Action: func(c *cli.Context) error {
			q, err := conversionOf(c, 2, 2)
			if err != nil {
				return err
			}
			if q.regroup == nil {
				return usagef("shard: --ranks is not given: how many devices share the experts?")
			}
			defer q.close()
			return t.execute(c, q, "regrouping", func(ck *hf.Checkpoint) (*plan.Plan, error) {
				return convert.PlanCopy(ck, "shard")
			})
		},
	}
}

// regroupFlags are those that divide an output by rank.
func regroupFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "ranks", Usage: "`N`devices that share the experts: divide the output into files by rank"},
		&cli.IntFlag{Name: "nodes", Usage: "`N`hosts that the ranks lie in", Value: 1},
		&cli.IntFlag{Name: "redundant", Usage: "`R`slots for second copies of experts, which are in the maps only"},
		&cli.BoolFlag{Name: "bake", Usage: "number experts by rank, with all that goes by expert, so that no map is needed"},
		&cli.StringFlag{Name: "load", Usage: "`F`how often experts were chosen: a calibration file, or JSON as quern place takes it"},
		&cli.StringFlag{Name: "trace", Usage: "`F`which experts each token chose; alone, or beside loads"},
		&cli.StringFlag{Name: "algorithm", Usage: "`quern|eplb|contiguous`who decides where experts go", Value: string(placement.Quern)},
		&cli.Float64Flag{Name: "tolerance", Usage: "`X`how much less balanced than eplb quern may be to bring experts together: 0.05 is 5 %", DefaultText: "0"},
	}
}

// regroup is the request to divide an output by rank.
type regroup struct {
	ctx     context.Context
	command string
	options shard.Options
	counts  *placement.Counts // what the placement is made from, or nil
	trace   *placement.Trace
}

// regrouping reads regroupFlags, --shard-size and, where loads may come from it,
// --calibration; nil without --ranks.
func regrouping(c *cli.Context) (*regroup, error) {
	name := c.Command.Name
	if !c.IsSet("ranks") {
		for _, flag := range []string{"nodes", "redundant", "bake", "load", "trace", "algorithm", "tolerance"} {
			if c.IsSet(flag) {
				return nil, usagef("%s: --%s needs --ranks: how many devices share the experts?", name, flag)
			}
		}
		return nil, nil
	}
	if n := c.Int("nodes"); n < 1 {
		return nil, usagef("%s: --nodes %d: at least 1 is needed", name, n)
	}
	g := &regroup{ctx: c.Context, command: name, options: shard.Options{
		Config: placement.Config{
			Ranks: c.Int("ranks"), Nodes: c.Int("nodes"), Redundant: c.Int("redundant"),
			Algorithm: placement.Algorithm(c.String("algorithm")), Tolerance: c.Float64("tolerance"),
		},
		Bake: c.Bool("bake"),
	}}
	var err error
	if g.options.Workers, err = workers(c); err != nil {
		return nil, err
	}
	if g.options.ShardSize, err = size(c, "shard-size"); err != nil {
		return nil, err
	}
	if err := g.options.Check(); err != nil {
		return nil, g.usage(err)
	}
	return g, g.open(c.String("load"), c.String("calibration"), c.String("trace"))
}

// open opens what the placement is to be made from, if anything is given.
func (g *regroup) open(load, calibration, trace string) error {
	if load != "" && calibration != "" {
		if g.command == "shard" {
			return usagef("shard: --load and --calibration both give loads: one of them is enough")
		}
		calibration = "" // which is for scales then
	}
	if load == "" && calibration == "" && trace == "" {
		return nil
	}
	var err error
	switch {
	case load != "":
		g.counts, err = placement.OpenCounts(load)
	case calibration != "":
		g.counts, err = placement.OpenCalibration(calibration)
	}
	if err == nil && trace != "" {
		g.trace, err = placement.OpenTrace(trace)
	}
	if err != nil {
		g.close()
	}
	return err
}

// input joins what was opened, for the experts of a checkpoint.
func (g *regroup) input(ck *hf.Checkpoint) (*placement.Input, error) {
	if g.counts == nil && g.trace == nil {
		return nil, nil
	}
	experts := 0
	if g.counts == nil && g.trace.Experts == 0 && ck.Config != nil {
		experts = ck.Config.NumExperts
	}
	return placement.NewInput(g.counts, g.trace, experts)
}

// close closes what the placement is made from.
func (g *regroup) close() {
	if g == nil {
		return
	}
	if g.counts != nil {
		_ = g.counts.Close()
	}
	_ = g.trace.Close()
}

// usage makes an error that blames the placement's configuration one of usage.
func (g *regroup) usage(err error) error {
	if u := (*placement.UsageError)(nil); errors.As(err, &u) {
		return usagef("%s: %v", g.command, u)
	}
	return err
}

// after is the planner that regroups what decide has planned. Without g it is decide.
func (g *regroup) after(decide planner) planner {
	if g == nil {
		return decide
	}
	return func(ck *hf.Checkpoint) (*plan.Plan, error) {
		p, err := decide(ck)
		if err != nil {
			return nil, err
		}
		o := g.options
		if o.Input, err = g.input(ck); err != nil {
			return nil, err
		}
		if _, err := shard.Regroup(g.ctx, p, ck.Arch(), o); err != nil {
			return nil, g.usage(err)
		}
		return p, nil
	}
}

// shownRanks is how many ranks are listed one by one.
const shownRanks = 16

// printRegrouped says what ranks read.
func printRegrouped(w io.Writer, d *shard.Description) {
	var about []string
	if d.Balance != nil {
		about = append(about, "balance "+figure(*d.Balance))
	}
	if d.Fanout != nil {
		about = append(about, figure(*d.Fanout)+" ranks a token")
	}
	if d.NodeFanout != nil && d.Nodes > 1 {
		about = append(about, figure(*d.NodeFanout)+" nodes a token")
	}
	text := fmt.Sprintf("%s on %s", count(d.Experts, "expert"), count(len(d.Ranks), "rank"))
	if d.Redundant > 0 {
		text += fmt.Sprintf(" with %s", count(d.Redundant, "redundant slot"))
	}
	if d.Baked {
		text += ", numbered by rank"
	}
	if len(about) > 0 {
		text += ": " + strings.Join(about, ", ")
	}
	fmt.Fprintf(w, "\n%s\n", ui.Wrap(text, 0, 2))
	fmt.Fprintln(w, ui.Wrap(fmt.Sprintf("a rank reads %s of %s or less (%s), %s of that common to all",
		ui.Bytes(d.Most()), ui.Bytes(d.Bytes), share(d.Most(), d.Bytes), ui.Bytes(d.CommonBytes)), 0, 2))
	if len(d.Ranks) > shownRanks {
		return
	}
	rows := make([][]string, len(d.Ranks))
	for i, r := range d.Ranks {
		rows[i] = []string{fmt.Sprint(r.Rank), fmt.Sprint(len(r.Files)), fmt.Sprint(len(d.CommonFiles)), ui.Bytes(r.Bytes), share(r.Bytes, d.Bytes)}
	}
	ui.Table(w, []string{">rank", ">own files", ">common", ">reads", ">share"}, rows)
}
