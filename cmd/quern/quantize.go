package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/invalid"
	"quern/internal/ui"
)

func quantizeCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "quantize",
		Usage:     "write the block-FP8 form of a checkpoint",
		ArgsUsage: "[flags] IN OUT",
		Description: "Linears of attention, MLPs and experts, those of the MTP layer included, become\n" +
			"E4M3 codes with one scale for each 128×128 tile; embeddings, output head, norms,\n" +
			"router and biases stay as they are. Stopped at any moment, the same command goes on.\n\n" +
			"Example:\n   quern quantize --scale-fmt ue8m0 ./my-model ./my-model-fp8",
		Flags: append(append(quantizeFlags(), deviceFlags()...), engineFlag("ends the command with 3 before it writes anything"), workersFlag, memoryFlag, overwriteFlag, quietFlag, jsonFlag),
		Action: func(c *cli.Context) error {
			args, err := positional(c, 2, 2)
			if err != nil {
				return err
			}
			o, err := quantizeOptions(c)
			if err != nil {
				return err
			}
			g, err := regrouping(c)
			if err != nil {
				return err
			}
			defer g.close()
			return t.execute(c, args[0], args[1], "quantizing", o.Calibration, g.after(quantizing(o)))
		},
	}
}

// planner decides what is to become of a checkpoint.
type planner func(*hf.Checkpoint) (*plan.Plan, error)

func quantizing(o convert.QuantizeOptions) planner {
	return func(ck *hf.Checkpoint) (*plan.Plan, error) { return convert.PlanQuantize(ck, o) }
}

// draft opens IN and plans.
func draft(in string, decide planner) (*hf.Checkpoint, *plan.Plan, error) {
	ck, err := hf.Open(in)
	if err != nil {
		return nil, nil, err
	}
	p, err := decide(ck)
	if err != nil {
		return nil, nil, about(ck, err)
	}
	return ck, p, nil
}

// execute opens IN, plans, runs and tells. The plan may go by a calibration.
func (t *terminal) execute(c *cli.Context, in, out, what string, by convert.Calibration, decide planner) error {
	o, err := runOptions(c)
	if err != nil {
		return err
	}
	o.Calibration = by
	named, err := targets(c)
	if err != nil {
		return err
	}
	ck, p, err := draft(in, decide)
	if err != nil {
		return err
	}
	if err := objection(named, p, ck); err != nil {
		return err
	}
	var closeDevice func()
	if o.Device, closeDevice, err = t.device(c); err != nil {
		return err
	}
	defer closeDevice()
	if err := enough(ck, p, out, o); err != nil {
		return err
	}
	quiet, asJSON := c.Bool("quiet"), c.Bool("json")
	if !quiet && !asJSON {
		t.announce(ck, p, in, out)
	}
	t.notes(quiet || asJSON, p.Notes)
	done, err := t.make(c.Context, ck, p, out, what, o, quiet || asJSON)
	if errors.Is(err, engine.ErrComplete) {
		switch {
		case asJSON:
			return t.json(alreadyComplete(ck, p, in, out))
		case !quiet:
			fmt.Fprintf(t.out, "already complete: %s\n", clean(out))
			printEngines(t.out, "it", alreadyComplete(ck, p, in, out).Engines)
		}
		return nil
	}
	if err != nil {
		return interrupted(err, "the same command goes on from here")
	}
	s := summarize(ck, p, done, in, out)
	s.Notes = append(s.Notes, done.Remarks...)
	t.notes(quiet || asJSON, done.Remarks)
	switch {
	case asJSON:
		return t.json(s)
	case !quiet:
		fmt.Fprintln(t.err)
		s.print(t.out)
	}
	return nil
}

// about names the checkpoint in an error that blames one of its tensors.
func about(ck *hf.Checkpoint, err error) error {
	if errors.Is(err, invalid.Input) {
		return fmt.Errorf("%s: %w", ck.Path, err)
	}
	return err
}

// enough makes a bound on memory that nothing can be done with a matter of
// usage.
func enough(ck *hf.Checkpoint, p *plan.Plan, out string, o convert.RunOptions) error {
	need, err := engine.Need(p, convert.EngineOptions(ck, out, o))
	if err != nil {
		return usagef("%v", err)
	}
	if o.Memory == 0 && need > engine.DefaultMemory {
		debug.SetMemoryLimit(need)
	}
	return nil
}

// finished is a run and the time it took.
type finished struct {
	*engine.Result
	took time.Duration
}

// make runs the engine behind a progress bar.
func (t *terminal) make(ctx context.Context, ck *hf.Checkpoint, p *plan.Plan, out, what string, o convert.RunOptions, quiet bool) (finished, error) {
	bar := ui.NewProgress(t.err, what, quiet)
	o.Progress = bar.Update
	start := time.Now()
	r, err := convert.Run(ctx, ck, p, out, o)
	bar.Stop()
	return finished{r, time.Since(start)}, err
}
