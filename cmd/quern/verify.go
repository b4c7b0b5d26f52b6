package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"quern/formats/hf"
	"quern/internal/ui"
	"quern/verify"
)

func verifyCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "check digests, codes and scales of a checkpoint, and its weights against the original",
		ArgsUsage: "[--baseline CKPT] [flags] CKPT",
		Description: "Without --baseline the checkpoint is held against its own manifest and config. With\n" +
			"it every quantized tensor is compared with the original's, and every other tensor must\n" +
			"be equal. Exit code 3 if a gate fails.\n\n" +
			"Example:\n   quern verify --baseline ./my-model ./my-model-fp8",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "baseline", Usage: "`CKPT`the checkpoint that it was made from"},
			workersFlag, quietFlag, jsonFlag,
		},
		Action: func(c *cli.Context) error {
			args, err := positional(c, 1, 1)
			if err != nil {
				return err
			}
			n, err := workers(c)
			if err != nil {
				return err
			}
			ck, err := hf.Open(args[0])
			if err != nil {
				return err
			}
			var base *hf.Checkpoint
			if b := c.String("baseline"); b != "" {
				if base, err = hf.Open(b); err != nil {
					return fmt.Errorf("--baseline: %w", err)
				}
			}
			quiet := c.Bool("quiet")
			r, err := t.verify(c.Context, base, ck, n, quiet || c.Bool("json"))
			if err != nil {
				return err
			}
			switch {
			case c.Bool("json"):
				err = t.json(r)
			case !quiet || !r.Passed:
				r.Print(t.out)
			}
			if err == nil && !r.Passed {
				err = errGate
			}
			return err
		},
	}
}

// verify checks ck, against base unless that is nil, behind a progress bar.
func (t *terminal) verify(ctx context.Context, base, ck *hf.Checkpoint, workers int, quiet bool) (*verify.Report, error) {
	bar := ui.NewProgress(t.err, "checking", quiet)
	defer bar.Stop()
	o := verify.Options{Workers: workers, Progress: bar.Update}
	if base == nil {
		return verify.Integrity(ctx, ck, o)
	}
	return verify.Compare(ctx, base, ck, o)
}
