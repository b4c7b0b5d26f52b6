package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"quern/convert"
	"quern/internal/invalid"
	"quern/internal/outfile"
)

// The table of exit codes, by the errors that commands end with. What each command ends
// with is in testdata/script/exitcodes.txtar.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("disk"), exitFailed},
		{usagef("no"), exitUsage},
		{&convert.UsageError{}, exitUsage},
		{&outfile.UsageError{}, exitUsage},
		{fmt.Errorf("verify: %w", errGate), exitGate},
		{fmt.Errorf("reading: %w", invalid.Errorf("no tensor")), exitInvalid},
		{&interruption{err: context.Canceled}, exitInterrupted},
		{fmt.Errorf("quantizing: %w", interrupted(context.Canceled, "go on")), exitInterrupted},
		{interrupted(errors.New("disk"), "go on"), exitFailed},
	} {
		if got := exitCode(c.err); got != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.code)
		}
	}
}

// docs/commands.md has the same codes.
func TestExitCodesDocumented(t *testing.T) {
	raw, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[int]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| .+ \|$`).FindAllStringSubmatch(string(raw), -1) {
		code, _ := strconv.Atoi(m[1])
		documented[code] = true
	}
	for _, x := range exits {
		if !documented[x.code] {
			t.Errorf("%d (%s) is not in docs/commands.md", x.code, x.means)
		}
		delete(documented, x.code)
	}
	if len(documented) > 0 {
		t.Errorf("docs/commands.md has codes that no command ends with: %v", documented)
	}
}
