// Quern quantizes mixture-of-experts checkpoints and proves that they are still the
// same models.
//
// Each command is one file here: it parses flags, calls one function of a
// library package, and prints. Output rules: results go to standard output;
// progress, notes and errors to standard error; an error is one line that
// begins with "quern: "; control codes go to terminals only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/internal/cpu"
	"quern/internal/ui"
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(args []string, stdout, stderr *os.File) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	addStores()
	ui.FitTerminal(stdout)
	t := newTerminal(stdout, stderr)
	t.ctx = ctx
	app := newApp(t)
	line := arrange(app, args)
	t.settle(line.text("progress"), line.on("json"), line.on("verbose"))
	err := app.RunContext(ctx, line.words())
	if err == nil && t.out.err != nil {
		err = fmt.Errorf("writing to standard output: %w", t.out.err)
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) && !isA[*interruption](err) {
		err = &interruption{err: err}
	}
	if i, ok := errors.AsType[*interruption](err); ok {
		err = i // whatever was being done
	}
	code := exitCode(err)
	if err != nil {
		t.fail(err, code)
	}
	return code
}

// commands are all there are: a command is a file and a row here.
func commands(t *terminal) []*cli.Command {
	return []*cli.Command{
		inspectCommand(t), planCommand(t), quantizeCommand(t), convertCommand(t), calibrateCommand(t), verifyCommand(t),
		runCommand(t), tokenizeCommand(t), placeCommand(t), shardCommand(t), devicesCommand(t), pipelineCommand(t), compareCommand(t), emitCommand(t), mergeCommand(t), statusCommand(t),
		versionCommand(t), completionCommand(t), manCommand(t), helpCommand(t),
	}
}

func newApp(t *terminal) *cli.App {
	cli.VersionPrinter = func(*cli.Context) { fmt.Fprintf(t.out, "quern %s\n", convert.Version) }
	cli.HelpPrinter = printHelp
	app := &cli.App{
		Name:            "quern",
		Usage:           "mixture-of-experts checkpoints quantized, exactly and in bounded memory, and verified",
		Version:         convert.Version,
		HideHelpCommand: true, // the parser's; helpCommand is ours, and with one the parser adds no flag
		Flags:           []cli.Flag{cli.HelpFlag},
		Writer:          t.out,
		ErrWriter:       io.Discard, // run prints errors, once
		ExitErrHandler:  func(*cli.Context, error) {},
		OnUsageError:    onUsageError,
		Before: func(*cli.Context) error {
			if err := cpu.FromEnv(); err != nil {
				return usagef("%v", err)
			}
			return nil
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return noCommand(c.App.Commands, c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: commands(t),
		Description: "A checkpoint is a folder with config.json and safetensors files, or one .safetensors\n" +
			"file. Results go to standard output, progress and remarks to standard error.\n\n" +
			"Example:\n   quern quantize ./my-model ./my-model-fp8\n\n" +
			ui.Wrap(exitsText(), 0, 0) + "\n\n" +
			ui.Wrap("In the environment: "+environmentText()+" stand for flags that are not given.", 0, 0),
	}
	t.prepare(app.Commands)
	return app
}

// prepare gives commands, and those below them, what all have.
func (t *terminal) prepare(list []*cli.Command) {
	for _, c := range list {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		for _, f := range c.Flags {
			if f == cli.Flag(quietFlag) {
				c.Flags = append(c.Flags, progressFlag)
				break
			}
		}
		c.Flags = append(c.Flags, verboseFlag)
		for _, f := range c.Flags {
			fromEnvironment(f)
		}
		c.Before = func(c *cli.Context) error {
			form, err := progressForm(c)
			t.settle(form, c.Bool("json"), c.Bool("verbose"))
			return err
		}
		t.prepare(c.Subcommands)
	}
}
