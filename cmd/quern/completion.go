package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/internal/manual"
)

func completionCommand(t *terminal) *cli.Command {
	shells := map[string]func(io.Writer, *manual.Command) error{"bash": manual.Bash, "zsh": manual.Zsh, "fish": manual.Fish}
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what makes a shell complete commands, flags, their values and files",
		ArgsUsage: "bash|zsh|fish",
		Description: "For bash put the line into ~/.bashrc:\n" +
			"   source <(quern completion bash)\n\n" +
			"For zsh write a file into a folder of fpath, before compinit runs:\n" +
			"   quern completion zsh >~/.zfunc/_quern\n\n" +
			"For fish:\n" +
			"   quern completion fish >~/.config/fish/completions/quern.fish\n\n" +
			"Example:\n   source <(quern completion bash)",
		Action: func(c *cli.Context) error {
			args, err := positional(c, 1, 1)
			if err != nil {
				return err
			}
			script, ok := shells[args[0]]
			if !ok {
				return usagef("completion: %q: it can be bash, zsh or fish", args[0])
			}
			return script(t.out, manualOf(t))
		},
	}
}

func manCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "write the man pages into a folder",
		ArgsUsage:   "[flags] DIR",
		Description: "One page for each command, named quern.1, quern-inspect.1 and so on. Pages that are there are\nreplaced.\n\nExample:\n   quern man ~/.local/share/man/man1",
		Action: func(c *cli.Context) error {
			args, err := positional(c, 1, 1)
			if err != nil {
				return err
			}
			return writeManual(args[0], manualOf(t))
		},
	}
}

// writeManual writes a page for each command.
func writeManual(dir string, root *manual.Command) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for path := range root.All() {
		var page strings.Builder
		if err := manual.Page(&page, root, path, convert.Version); err != nil {
			return err
		}
		name := filepath.Join(dir, manual.PageName(path)+".1")
		if err := os.WriteFile(name, []byte(page.String()), 0o666); err != nil {
			return fmt.Errorf("writing a man page: %w", err)
		}
	}
	return nil
}

// manualOf is what the program knows of its commands, as data.
func manualOf(t *terminal) *manual.Command {
	app := newApp(t) // not the one that runs, to which its parser has added commands of its own
	app.Setup()
	return &manual.Command{
		Name: app.Name, Brief: app.Usage, Arguments: "COMMAND [flags] …", Text: app.Description,
		Flags: manualFlags(app.VisibleFlags()), Commands: manualCommands(app.Commands),
	}
}

func manualCommands(commands []*cli.Command) []manual.Command {
	var list []manual.Command
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		list = append(list, manual.Command{
			Name: c.Name, Brief: c.Usage, Arguments: c.ArgsUsage, Text: c.Description,
			Flags: manualFlags(c.VisibleFlags()), Commands: manualCommands(c.Subcommands),
		})
	}
	return list
}

// manualFlags adds --help, which the parser gives a command only when it runs.
func manualFlags(flags []cli.Flag) []manual.Flag {
	var list []manual.Flag
	help := false
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		value, text := placeholder(d.GetUsage())
		m := manual.Flag{Names: f.Names(), Value: value, Text: text}
		if s := strings.Trim(d.GetDefaultText(), `"`); d.TakesValue() && s != "0" {
			m.Default = s
		}
		if s, ok := f.(cli.DocGenerationSliceFlag); ok {
			m.Repeats = s.IsSliceFlag()
		}
		help = help || f.Names()[0] == "help"
		list = append(list, m)
	}
	if !help {
		list = append(list, manual.Flag{Names: []string{"help", "h"}, Text: "show help"})
	}
	return list
}
