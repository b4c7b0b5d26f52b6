package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/engine"
	"quern/formats/hf"
	"quern/internal/tinyseek"
	"quern/internal/ui"
	"quern/verify"
)

func pipelineCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "pipeline",
		Usage:     "the whole job: plan, quantize, check every tensor against its source",
		ArgsUsage: "[flags] [IN [OUT]]",
		Description: "IN defaults to the embedded model (14 MB, with every part of DeepSeek-V3's\n" +
			"architecture), OUT to a new temporary folder, which is printed last. Exit code 3 if a\n" +
			"gate fails.\n\n" +
			"Example:\n   quern pipeline",
		Flags: append(quantizeFlags(), workersFlag, memoryFlag, overwriteFlag, quietFlag, jsonFlag),
		Action: func(c *cli.Context) error {
			args, err := positional(c, 0, 2)
			if err != nil {
				return err
			}
			o, err := quantizeOptions(c)
			if err != nil {
				return err
			}
			run, err := runOptions(c)
			if err != nil {
				return err
			}
			at, err := places(args)
			if err != nil {
				return err
			}
			return at.tidy(t.pipeline(c, at, o, run))
		},
	}
}

// scene is where a pipeline plays. What is not given is made in a new temporary
// folder.
type scene struct {
	in, out string
	tmp     string // "" when both were given
	own     bool   // in is the embedded model
}

func places(args []string) (scene, error) {
	if len(args) == 2 {
		return scene{in: args[0], out: args[1]}, nil
	}
	tmp, err := os.MkdirTemp("", "quern-")
	if err != nil {
		return scene{}, fmt.Errorf("making a temporary folder: %w", err)
	}
	if len(args) == 1 {
		in := filepath.Clean(args[0])
		if full, err := filepath.Abs(in); err == nil {
			in = full // "." has a name too
		}
		return scene{in: args[0], out: filepath.Join(tmp, filepath.Base(in)+"-fp8"), tmp: tmp}, nil
	}
	in := filepath.Join(tmp, "tinyseek")
	at := scene{in: in, out: in + "-fp8", tmp: tmp, own: true}
	return at, at.tidy(tinyseek.Extract(in))
}

// tidy passes on how a pipeline ended. One that did not come to its end leaves
// nothing in temporary folders, unless that is work of which the user can make
// use.
func (s scene) tidy(err error) error {
	switch {
	case err == nil || errors.Is(err, errGate):
		return err
	case s.tmp == "":
		return interrupted(err, "the same command goes on from here")
	case !s.own && errors.Is(err, context.Canceled):
		return interrupted(err, fmt.Sprintf("the same command with %q as OUT goes on from here", s.out))
	}
	_ = os.RemoveAll(s.tmp)
	return err
}

// outcome is what a pipeline tells.
type outcome struct {
	Stages []stage        `json:"stages"`
	Result *summary       `json:"quantize"`
	Verify *verify.Report `json:"verify"`
	Passed bool           `json:"passed"`
	Output string         `json:"output_folder"`
}

// stage is a line of the table.
type stage struct {
	Name    string  `json:"stage"`
	Result  string  `json:"result"`
	Seconds float64 `json:"seconds"`
}

func (t *terminal) pipeline(c *cli.Context, at scene, o convert.QuantizeOptions, run convert.RunOptions) error {
	quiet, asJSON := c.Bool("quiet"), c.Bool("json")
	in, out := at.in, at.out
	r := &outcome{Output: out}
	start := time.Now()
	lap := func(name, format string, args ...any) {
		now := time.Now()
		r.Stages = append(r.Stages, stage{name, fmt.Sprintf(format, args...), now.Sub(start).Seconds()})
		start = now
	}

	ck, err := hf.Open(in)
	if err != nil {
		return err
	}
	p, err := convert.PlanQuantize(ck, o)
	if err != nil {
		return about(ck, err)
	}
	total := p.Totals()
	if err := enough(ck, p, out, run); err != nil {
		return err
	}
	lap("plan", "%s, %s parameters: %s tensors in, %s out", architecture(ck), parameters(ck.Parameters()), ui.Count(int64(ck.Len())), ui.Count(int64(total.Tensors)))
	t.notes(quiet || asJSON, p.Notes)

	done, err := t.make(c.Context, ck, p, out, "quantizing", run, quiet || asJSON)
	switch {
	case errors.Is(err, engine.ErrComplete):
		r.Result = alreadyComplete(ck, p, in, out)
		lap("quantize", "already complete")
	case err != nil:
		return err
	default:
		r.Result = summarize(ck, p, done, in, out)
		lap("quantize", "%s → %s (%s), %s tensors with codes", ui.Bytes(ck.Bytes()), ui.Bytes(total.Bytes), share(total.Bytes, ck.Bytes()), ui.Count(int64(r.Result.Quantized)))
	}

	made, err := hf.Open(out)
	if err != nil {
		return err
	}
	if r.Verify, err = t.verify(c.Context, ck, made, run.Workers, quiet || asJSON); err != nil {
		return err
	}
	r.Passed = r.Verify.Passed
	verdict := "every gate passed"
	if !r.Passed {
		verdict = "a gate FAILED"
	}
	lap("verify", "%s tensors against their source: %s", ui.Count(int64(made.Len())), verdict)

	switch {
	case asJSON:
		err = t.json(r)
	case !quiet || !r.Passed:
		rows := make([][]string, len(r.Stages))
		for i, s := range r.Stages {
			rows[i] = []string{s.Name, s.Result, ui.Duration(time.Duration(s.Seconds * float64(time.Second)))}
		}
		ui.Table(t.out, []string{"stage", "result", ">time"}, rows)
		fmt.Fprintln(t.out)
		r.Verify.Print(t.out)
		fmt.Fprintf(t.out, "\noutput: %s\n", clean(out))
	case at.tmp != "": // nobody would find it
		fmt.Fprintf(t.out, "output: %s\n", clean(out))
	}
	if err == nil && !r.Passed {
		err = errGate
	}
	return err
}
