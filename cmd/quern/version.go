package main

import (
	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/gpu"
	"quern/internal/build"
)

func versionCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "tell which build this is: commit, Go, processor path, devices",
		ArgsUsage: "[flags]",
		Description: "What a bug report should begin with. quern --version prints the version alone.\n\n" +
			"Example:\n   quern version --json",
		Flags: []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			if _, err := positional(c, 0, 0); err != nil {
				return err
			}
			i := build.Read(convert.Version, gpu.Kinds())
			if c.Bool("json") {
				return t.json(i)
			}
			i.Print(t.out)
			return nil
		},
	}
}
