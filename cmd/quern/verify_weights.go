package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"quern/calibrate/file"
	"quern/formats/hf"
	"quern/verify"
)

// searched opens what the scales of the checkpoint were searched by, if it is given.
func (j *verifying) searched(c *cli.Context) (err error) {
	if j.calibration = c.String("calibration"); j.calibration == "" {
		return nil
	}
	if j.baseline == "" {
		return usagef("verify: --calibration goes with --baseline, whose weights are searched again by it")
	}
	j.squares, err = file.Open(j.calibration)
	return err
}

// weights is the pass over the bytes.
func (t *terminal) weights(ctx context.Context, j *verifying, base, ck *hf.Checkpoint, name string) (*verify.Report, error) {
	bar := t.progress("checking", j.quiet)
	defer bar.Stop()
	o := verify.Options{Workers: j.workers, Memory: j.memory, Progress: bar.Update, Begun: bar.Begin, Records: j.going.Book, Name: name, Recorded: j.parts != nil}
	if base == nil {
		return verify.Integrity(ctx, ck, o)
	}
	if j.squares != nil { // not an interface that holds nil
		o.Calibration = j.squares
	}
	return verify.Compare(ctx, base, ck, o)
}
