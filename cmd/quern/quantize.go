package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/engine"
	"quern/convert/plan"
	"quern/formats/hf"
	"quern/internal/cpu"
	"quern/internal/invalid"
	"quern/internal/ui"
)

func quantizeCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "quantize",
		Usage:     "write a checkpoint in block FP8, or in the scheme that --to names",
		ArgsUsage: "[flags] IN OUT",
		Description: "Linears of attention, MLPs and experts, those of the MTP layer included, become\n" +
			"E4M3 codes with one scale for each 128×128 tile; embeddings, output head, norms,\n" +
			"router and biases stay as they are. Stopped at any moment, the same command goes on.\n\n" +
			"Example:\n   quern quantize --scale-fmt ue8m0 ./my-model ./my-model-fp8",
		Flags: append(append(quantizeFlags(), deviceFlags()...), engineFlag("ends the command with 3 before it writes anything"), taskFlag, workersFlag, memoryFlag, overwriteFlag, quietFlag, jsonFlag),
		Action: func(c *cli.Context) error {
			q, err := conversionOf(c, 2, 2)
			if err != nil {
				return err
			}
			defer q.close()
			return t.execute(c, q, "quantizing", quantizing(q.options))
		},
	}
}

// execute opens IN, plans, runs and tells.
func (t *terminal) execute(c *cli.Context, q *conversion, what string, decide planner) error {
	in, out, o := q.args[0], q.args[1], q.run
	ck, p, err := t.draft(q, decide)
	if err != nil {
		return err
	}
	if err := objection(q.engines, p, ck); err != nil {
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
		return interrupted(err, remains(out, "the same command"))
	}
	s := summarize(ck, p, done, in, out)
	s.Task = taskOf(p, o.Task)
	s.Notes = append(s.Notes, done.Remarks...)
	t.notes(quiet || asJSON, done.Remarks)
	switch {
	case asJSON:
		return t.json(s)
	case !quiet && s.Task != nil:
		s.Task.print(t.out, out)
	case !quiet:
		fmt.Fprintln(t.err)
		s.print(t.out)
	}
	return nil
}

// lookTime is how long an interrupted command asks a store what it has left there.
const lookTime = 5 * time.Second

// remains says what an interrupted run leaves in a folder, and which command goes on.
func remains(out, command string) string {
	goes := command + " goes on from here"
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	s := engine.Look(ctx, out)
	if s == nil && strings.Contains(out, "://") { // nothing is there, or nobody answers
		return goes
	}
	switch {
	case s == nil:
		return "nothing was written"
	case s.Complete:
		return "the output is complete; " + goes
	case s.Done == 0:
		return "no file was finished; " + goes
	case s.Done == 1:
		return fmt.Sprintf("1 of %s is kept; %s", count(s.Of, "file"), goes)
	}
	return fmt.Sprintf("%d of %s are kept; %s", s.Done, count(s.Of, "file"), goes)
}

// open opens a checkpoint that a command reads. A folder that quern has not finished is
// called that: as it stands it is no checkpoint, whatever is wrong with it.
func (t *terminal) open(path string) (*hf.Checkpoint, error) {
	ck, err := hf.OpenContext(t.ctx, path)
	var s *engine.Standing
	if err == nil || errors.Is(err, invalid.Input) { // not of a store that does not answer
		s = engine.Look(t.ctx, path)
	}
	if s != nil && s.Tasks > 0 {
		return nil, invalid.Errorf("%q is unfinished: the %s of quern %s have made %d of its %s; quern merge completes it, or names those that are missing", path, count(s.Tasks, "task"), s.Command, s.Done, count(s.Of, "file"))
	}
	if s != nil && !s.Complete && (err != nil || s.Done < s.Of) {
		return nil, invalid.Errorf("%q is unfinished: quern %s has made %d of its %s; the same quern %s goes on", path, s.Command, s.Done, count(s.Of, "file"), s.Command)
	}
	if err == nil {
		t.log("opened %s: %s tensors, %s in %s", path, ui.Count(int64(ck.Len())), ui.Bytes(ck.Bytes()), count(len(ck.Files), "file"))
	}
	return ck, err
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

// overlap lets threads that come back from a disk run beside the workers. Go would have
// them wait until a worker pauses, milliseconds in which the disk has nothing to do; the
// system shares the processors out at once.
func overlap() (restore func()) {
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 2)
	return func() { runtime.GOMAXPROCS(n) }
}

// make runs the engine behind a progress bar.
func (t *terminal) make(ctx context.Context, ck *hf.Checkpoint, p *plan.Plan, out, what string, o convert.RunOptions, quiet bool) (finished, error) {
	bar := t.progress(what, quiet)
	o.Progress, o.Begun = bar.Update, bar.Begin
	start := time.Now()
	if t.verbose {
		on := "the processor's " + cpu.Path()
		if o.Device != nil {
			on = o.Device.Info().Name
		}
		t.log("%s with %s, on %s", what, count(cmp.Or(o.Workers, runtime.GOMAXPROCS(0)), "worker"), on)
	}
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	restore := overlap()
	r, err := convert.Run(ctx, ck, p, out, o)
	restore()
	bar.Stop()
	if err == nil {
		t.log("read %s in %s: %s in %s, %d of them from an earlier run", ui.Bytes(r.Read), ui.Duration(time.Since(start)), ui.Bytes(p.Totals().Files), count(len(p.Shards), "file"), r.Resumed)
	}
	return finished{r, time.Since(start)}, err
}
