package main

import (
	"github.com/urfave/cli/v2"

	"quern/difference"
)

func compareCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "put two checkpoints of quern, or two reports of verify, side by side",
		ArgsUsage: "A B",
		Description: "A and B are checkpoints that quern made, whose manifests are compared (which options,\n" +
			"which tensors have other bytes, how sizes and errors changed), or files that verify\n" +
			"--json-file wrote (figures of the model, gates, weights by role). No weights are read.\n\n" +
			"Example:\n   quern compare ./my-model-fp8 ./my-model-nvfp4",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Usage: "show what is equal too"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			args, err := positional(c, 2, 2)
			if err != nil {
				return err
			}
			var of [2]*difference.Record
			for i := range of {
				if of[i], err = difference.Read(c.Context, args[i]); err != nil {
					return err
				}
			}
			d, err := difference.Of(of[0], of[1])
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return t.json(d)
			}
			d.Print(t.out, c.Bool("all"))
			return nil
		},
	}
}
