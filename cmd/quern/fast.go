package main

import (
	"github.com/urfave/cli/v2"

	"quern/gemm"
)

// fastRefused says why products in BF16 cannot be had, where they are asked for.
func (j *verifying) fastRefused(c *cli.Context) error {
	switch d := c.String("device"); {
	case !j.fast:
		return nil
	case !j.runs():
		return usagef("verify: --fast is for running models: give --text or --ids")
	case j.reference != "" || j.emit != "":
		return usagef("verify: --fast does not go together with --reference or --emit-reference: references are exact")
	case !j.task.Whole():
		return usagef("verify: --fast does not go together with --task")
	case c.IsSet("device") && d != "cpu" && d != "auto":
		return usagef("verify: --fast computes on the processor, not on --device %s", d)
	case !gemm.FastBF16():
		return usagef("verify: --fast gains nothing on this processor: it takes AVX512_BF16 at full rate, as AMD's have since Zen 4; leave it away")
	}
	return nil
}
