// Quern turns mixture-of-experts checkpoints into block FP8 and proves that
// they are still the same models.
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
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/internal/cpu"
	"quern/internal/invalid"
	"quern/internal/outfile"
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
	out := &results{file: stdout}
	err := newApp(&terminal{out: out, err: stderr}).RunContext(ctx, args)
	if err == nil && out.err != nil {
		err = fmt.Errorf("writing to standard output: %w", out.err)
	}
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		hint := ""
		if i := (*interruption)(nil); errors.As(err, &i) {
			hint = "; " + i.next
		}
		fmt.Fprintf(stderr, "quern: interrupted%s\n", clean(hint))
		return exitInterrupted
	}
	fmt.Fprintf(stderr, "quern: %s\n", oneLine(err))
	return exitCode(err)
}

// interruption is the end of a command by a signal, of which something remains
// that next says how to use.
type interruption struct {
	err  error
	next string
}

func (i *interruption) Error() string { return i.err.Error() }
func (i *interruption) Unwrap() error { return i.err }

// interrupted adds to an error that comes from a signal what can be done next.
func interrupted(err error, next string) error {
	if errors.Is(err, context.Canceled) {
		return &interruption{err, next}
	}
	return err
}

// Exit codes, as documented in docs/commands.md.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitGate        = 3
	exitInvalid     = 4
	exitInterrupted = 130
)

// errGate is returned by commands that verified something and found it wanting;
// the report has been printed.
var errGate = errors.New("a gate failed")

// usageError is a command line that makes no sense.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

func exitCode(err error) int {
	var usage *usageError
	var asked *convert.UsageError
	var out *outfile.UsageError
	var parser cli.ExitCoder
	switch {
	case errors.As(err, &usage), errors.As(err, &asked), errors.As(err, &out), errors.As(err, &parser):
		return exitUsage
	case errors.Is(err, errGate):
		return exitGate
	case errors.Is(err, invalid.Input):
		return exitInvalid
	}
	return exitFailed
}

// oneLine keeps an error on one line without control codes, whatever names it
// holds.
func oneLine(err error) string {
	return clean(strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), " "))
}

func newApp(t *terminal) *cli.App {
	cli.VersionPrinter = func(*cli.Context) { fmt.Fprintf(t.out, "quern %s\n", convert.Version) }
	cli.HelpPrinter = printHelp
	app := &cli.App{
		Name:            "quern",
		Usage:           "mixture-of-experts checkpoints in block FP8, exactly and in bounded memory",
		Version:         convert.Version,
		HideHelpCommand: true,
		Writer:          t.out,
		ErrWriter:       io.Discard, // run prints errors, once
		ExitErrHandler:  func(*cli.Context, error) {},
		Before: func(*cli.Context) error {
			if err := cpu.FromEnv(); err != nil {
				return usagef("%v", err)
			}
			return nil
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usagef("there is no command %q; quern --help lists them", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			inspectCommand(t), planCommand(t), quantizeCommand(t), convertCommand(t), calibrateCommand(t), verifyCommand(t), runCommand(t), tokenizeCommand(t), placeCommand(t), shardCommand(t), devicesCommand(t), pipelineCommand(t), emitCommand(t), versionCommand(t), completionCommand(t), manCommand(t),
		},
		Description: "A checkpoint is a folder with config.json and safetensors files, or one .safetensors\n" +
			"file. Results go to standard output, progress and remarks to standard error.\n\n" +
			"Example:\n   quern quantize ./my-model ./my-model-fp8\n\n" +
			"Exit codes: 0 done, 1 failed, 2 wrong usage, 3 verification ran and a gate failed,\n" +
			"4 the input is invalid or unsupported, 130 interrupted (the same command goes on).",
	}
	app.OnUsageError = onUsageError
	for _, c := range app.Commands {
		c.OnUsageError = onUsageError
	}
	return app
}

// onUsageError is what the command line parser has to say.
func onUsageError(c *cli.Context, err error, _ bool) error {
	name := c.Command.HelpName
	if name == "" {
		name = c.App.Name
	}
	return usagef("%v; %s --help lists the flags", err, name)
}
