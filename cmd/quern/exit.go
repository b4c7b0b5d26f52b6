package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/convert"
	"quern/convert/engine"
	"quern/internal/invalid"
	"quern/internal/outfile"
	"quern/verify"
	"quern/verify/record"
)

// Exit codes; exits says what they mean.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitGate        = 3
	exitInvalid     = 4
	exitMissing     = 5
	exitInterrupted = 130
)

// exits is the table of exit codes: help prints it, docs/commands.md has it, and each is
// tested. An error has the code of the first row that knows it.
var exits = []struct {
	code  int
	means string // in the words of help
	of    func(error) bool
}{
	{0, "done", func(err error) bool { return err == nil }},
	{exitUsage, "wrong usage", isUsage},
	{exitGate, "verification ran and a gate failed", func(err error) bool { return errors.Is(err, errGate) }},
	{exitInvalid, "the input is invalid or unsupported", func(err error) bool { return errors.Is(err, invalid.Input) }},
	{exitMissing, "tasks are missing (merge names them)", func(err error) bool { return isA[*engine.Missing](err) || isA[*record.Missing](err) }},
	{exitInterrupted, "interrupted (the same command goes on)", func(err error) bool { return isA[*interruption](err) }},
	{exitFailed, "failed", func(error) bool { return true }},
}

// exitCode is the exit code of a command that ended with err.
func exitCode(err error) int {
	for _, x := range exits {
		if x.of(err) {
			return x.code
		}
	}
	return exitFailed
}

// exitsText is the table in the words of help.
func exitsText() string {
	parts := make([]string, 0, len(exits))
	for code := range exitInterrupted + 1 {
		for _, x := range exits {
			if x.code == code {
				parts = append(parts, fmt.Sprintf("%d %s", code, x.means))
			}
		}
	}
	return "Exit codes: " + strings.Join(parts, ", ") + "."
}

func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// usageError is a command line that makes no sense.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

func isUsage(err error) bool {
	return isA[*usageError](err) || isA[*convert.UsageError](err) || isA[*outfile.UsageError](err) || isA[cli.ExitCoder](err)
}

// errGate is returned by commands that verified something and found it wanting;
// the report has been printed.
var errGate = errors.New("a gate failed")

// failedGates is the error of a report that has not passed: it names the gates, with what
// was measured and what is asked for. nil if all passed.
func failedGates(r *verify.Report) error {
	if r.Passed {
		return nil
	}
	var failed []string
	for i := range r.Gates {
		if g := &r.Gates[i]; !g.Passed {
			failed = append(failed, g.String())
		}
	}
	return fmt.Errorf("%w: %s", errGate, strings.Join(failed, "; "))
}

// interruption is the end of a command by a signal. next says what remains and how to
// go on, "" where nothing does.
type interruption struct {
	err  error
	next string
}

func (i *interruption) Error() string {
	if i.next == "" {
		return "interrupted"
	}
	return "interrupted; " + i.next
}
func (i *interruption) Unwrap() error { return i.err }

// interrupted adds to an error that comes from a signal what can be done next.
func interrupted(err error, next string) error {
	if errors.Is(err, context.Canceled) {
		return &interruption{err, next}
	}
	return err
}
