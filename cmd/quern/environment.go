package main

import (
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// inEnvironment are the flags that may be given in the environment: those that say how
// to run. What becomes of bytes, and what is removed, stands in the command.
var inEnvironment = []string{"device", "device-memory", "json", "memory", "progress", "quiet", "shard-size", "state", "verbose", "workers"}

// variable is the name of a flag in the environment.
func variable(flag string) string {
	return "QUERN_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// environmentText lists them.
func environmentText() string {
	names := make([]string, len(inEnvironment))
	for i, f := range inEnvironment {
		names[i] = variable(f)
	}
	return strings.Join(names, ", ")
}

// fromEnvironment lets the parser look there for a flag that is not given. An empty
// variable says nothing.
func fromEnvironment(flag cli.Flag) {
	for _, name := range inEnvironment {
		if flag.Names()[0] != name || os.Getenv(variable(name)) == "" {
			continue
		}
		vars := []string{variable(name)}
		switch f := flag.(type) {
		case *cli.BoolFlag:
			f.EnvVars = vars
		case *cli.IntFlag:
			f.EnvVars = vars
		case *cli.StringFlag:
			f.EnvVars = vars
		}
	}
}
