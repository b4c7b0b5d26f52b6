package main

import (
	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/plan"
	"quern/formats/hf"
)

func convertCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "convert",
		Usage:     "write a checkpoint in another precision or layout",
		ArgsUsage: "--to bf16 [flags] IN OUT",
		Description: "--to bf16 multiplies FP8 weights by their scales (of any known name, dtype and\n" +
			"granularity) and rounds F32, F16 and F64 matrices and norms. Stopped at any moment, the\n" +
			"same command goes on.\n\n" +
			"Example:\n   quern convert --to bf16 ./DeepSeek-V3 ./DeepSeek-V3-bf16",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "`bf16`the target"},
			shardFlag, taskFlag, workersFlag, memoryFlag, overwriteFlag, quietFlag, jsonFlag,
		},
		Action: func(c *cli.Context) error {
			q, err := conversionOf(c, 2, 2)
			if err != nil {
				return err
			}
			defer q.close()
			if _, err := choice(c, "to", "bf16"); err != nil {
				return err
			}
			n, err := size(c, "shard-size")
			if err != nil {
				return err
			}
			return t.execute(c, q, "converting", func(ck *hf.Checkpoint) (*plan.Plan, error) {
				return convert.PlanBF16(ck, convert.BF16Options{ShardSize: n})
			})
		},
	}
}
